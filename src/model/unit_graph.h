#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <set>
#include <string>

#include "model/gradient_sink.h"
#include "model/weight_store.h"

namespace vit22b {

/// What an engine keeps of a unit's forward pass for its backward pass.
class SavedActivations {
 public:
  virtual ~SavedActivations() = default;
  /// Lets go of the unit's weights; the backward pass is given them again. False where the
  /// activations cannot be without them.
  virtual bool drop_weights() { return false; }
  virtual void take_weights(const NamedTensors&) {}
};

/// A unit's forward pass as a function of its weights and its input.
using UnitFunction =
    std::function<at::Tensor(const NamedTensors& weights, const at::Tensor& input)>;

/// ATen's graph of one unit, cut off from all others: the input and the trained weights are its
/// leaves. Where the weights could not stay, the input alone, from which it is recorded again.
struct UnitGraph : SavedActivations {
  at::Tensor input;
  bool is_input_trained = false;
  NamedTensors leaves;
  at::Tensor output;
};

/// Runs the function and records its graph.
///
/// trained             names of the weights that need a gradient
/// is_input_trained    whether backward_unit shall return the input's gradient
UnitGraph record_unit(const UnitFunction& function, const NamedTensors& weights,
                      const at::Tensor& input, const std::set<std::string>& trained,
                      bool is_input_trained);

/// Sends a gradient back through a recorded unit and frees its graph.
///
/// grads    receives the weights' gradients; may be null when no weight was recorded as trained
/// returns  the input's gradient, undefined unless it was recorded
at::Tensor backward_unit(UnitGraph& graph, const at::Tensor& output_gradient, UnitGrads* grads);

}  // namespace vit22b
