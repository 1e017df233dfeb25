#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <set>
#include <string>

#include "model/config.h"
#include "model/gradient_sink.h"
#include "model/unit_graph.h"
#include "model/weight_store.h"

namespace vit22b {

/// How a block's forward and backward passes are computed; `reference` is plain ATen.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const char* name() const = 0;
  /// Makes packed forms of a unit's weights for a number of rows (B * T); they are opaque and
  /// optional.
  virtual void prepare(const NamedTensors& weights, int64_t rows) const = 0;
  /// x_BTD → [B, T, D] without anything kept.
  virtual at::Tensor forward(const ViTConfig& config, const NamedTensors& weights,
                             const at::Tensor& x_BTD) const = 0;
  /// The same, keeping what `backward` needs.
  virtual at::Tensor forward_saving(const ViTConfig& config, const NamedTensors& weights,
                                    const at::Tensor& x_BTD, const std::set<std::string>& trained,
                                    std::unique_ptr<SavedActivations>& saved) const = 0;
  /// Gradient of the block's input; the weights' gradients go to `grads` (null when none trains).
  virtual at::Tensor backward(std::unique_ptr<SavedActivations> saved,
                              const at::Tensor& output_gradient_BTD, UnitGrads* grads) const = 0;
};

/// The engine of that name.
///
/// throws  UsageError naming the engines there are
std::unique_ptr<Engine> make_engine(const std::string& name);

}  // namespace vit22b
