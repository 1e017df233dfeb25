#pragma once
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

#include "dist/mesh.h"
#include "model/block_inputs.h"
#include "model/config.h"
#include "model/engine.h"
#include "model/packed_cache.h"

namespace vit22b {

/// What a block keeps for its backward pass: all of its activations, or its input alone.
enum class ActivationPolicy { kKeep, kRecompute };

/// What every part of a model's passes needs; the members outlive the context.
struct ModelContext {
  const ViTConfig& config;
  const Engine& engine;
  const Mesh& mesh;
  at::ScalarType compute_type = at::kFloat;  ///< dtype of activations and products
  ActivationPolicy policy = ActivationPolicy::kKeep;
  PackedCache* packed = nullptr;  ///< null: weights are packed, where they are, for each pass
  /// Where inputs of recomputed blocks wait; null: as they are.
  BlockInputs* inputs = nullptr;
};

}  // namespace vit22b
