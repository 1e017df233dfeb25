#pragma once
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <optional>
#include <string>

#include "dist/mesh.h"
#include "model/block_inputs.h"
#include "model/block_spec.h"
#include "model/config.h"
#include "model/engine.h"
#include "model/packed_cache.h"

namespace vit22b {

/// What a block keeps for its backward pass: all of its activations, or its input alone.
enum class ActivationPolicy { kKeep, kRecompute };

/// Which noise a heteroscedastic head has: a training step's own, or that of all evaluations.
struct NoiseKey {
  uint64_t seed = 0;
  int64_t step = -1;  ///< -1: an evaluation
};

/// What every part of a model's passes needs; the members outlive the context.
struct ModelContext {
  const ViTConfig& config;
  const Engine& engine;
  const Mesh& mesh;
  /// Of products and of activations; the engine has the same.
  at::ScalarType compute_type = at::kFloat;
  ActivationPolicy policy = ActivationPolicy::kKeep;
  PackedCache* packed = nullptr;  ///< null: weights are packed, where they are, for each pass
  /// Where inputs of recomputed blocks wait; null: as they are.
  BlockInputs* inputs = nullptr;
  /// Of the residual stream between embedding and final norm; unset: the compute type.
  std::optional<at::ScalarType> residual_type = {};
  NoiseKey noise = {};

  BlockSpec block = block_spec(config, mesh);  ///< of the model's blocks but an ensemble's
  BlockSpec last_block = last_block_spec(config, mesh);

  const BlockSpec& block_at(int64_t index) const {
    return index < config.first_ensemble_block() ? block : last_block;
  }

  at::ScalarType type_of_residual() const { return residual_type.value_or(compute_type); }
};

}  // namespace vit22b
