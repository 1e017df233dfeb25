#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/fields.h"
#include "dist/tensor_cut.h"
#include "model/parameter_table.h"
#include "model/weight_store.h"

namespace vit22b {

/// The options under `optim.` in a training config.
struct OptimConfig {
  std::string name = "adafactor";
  double lr = 1e-3;
  double weight_decay = 0.03;
  double head_weight_decay = 3.0;
  double clip_norm = 1.0;
  std::string clip = "exact";
  std::string rounding = "stochastic";
  double momentum = 0.9;
  double beta2_cap = 0.999;
  double beta2 = 0.999;
  double eps = 1e-8;
  int64_t min_dim_size_to_factor = 32;
  double layer_decay = 1;
  double polyak = 0;

  void fields(FieldVisitor& visitor);
  /// throws  UsageError naming a field that is out of its range, and the range
  void check() const;
};

/// One tensor of optimizer state: its name, such as "momentum", its shape and dtype. It starts as
/// zeros.
struct SlotSpec {
  std::string name;
  std::vector<int64_t> shape;
  at::ScalarType dtype = at::kFloat;
};

/// What an update needs beyond the tensors.
struct UpdateContext {
  int64_t step = 0;          ///< 0 for the first update
  double learning_rate = 0;  ///< base rate × schedule × the row's factor
  double weight_decay = 0;   ///< decoupled; multiplied by learning_rate
  /// [1] float32 on the weight's device: what the gradient is multiplied by first (clipping,
  /// averaging). Where it is not finite, nothing changes. Undefined for 1. It is the same on every
  /// rank: an update that ends at it has left out collectives that others would wait in.
  at::Tensor gradient_scale;
  uint64_t seed = 0;               ///< with the step and the name: the key of stochastic rounding
  bool rounds_to_nearest = false;  ///< bfloat16 weights: instead, ties away from zero; on the CPU
  std::string_view name;           ///< the parameter's
  /// How the parameter is cut over a mesh, of which weight, gradient and slots are this rank's
  /// part; both null where they are whole.
  const TensorCut* cut = nullptr;
  const Mesh* mesh = nullptr;
};

/// An update rule; its state is named slots a parameter, kept by the caller.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  virtual std::vector<SlotSpec> slots(const ParameterRow& row) const = 0;
  /// Every rank updates the same parameters in the same order, and reaches every collective of an
  /// update whatever its own gradient is.
  ///
  /// Overwrites weight (float32, or bfloat16 by stochastic rounding) and slots; gradient is float32
  /// in the weight's shape. Does not wait for the device.
  virtual void update_(at::Tensor& weight, const at::Tensor& gradient, NamedTensors& slots,
                       const UpdateContext& context) const = 0;
};

/// The optimizer that a config names.
///
/// throws  as OptimConfig::check
std::unique_ptr<Optimizer> make_optimizer(const OptimConfig& config);

}  // namespace vit22b
