#include "core/error.h"
#include "model/engine/device_block.h"
#include "model/engine/engines.h"

namespace vit22b {
namespace {

/// The block on a device's fused operations, with libtorch's products and attention between them.
class DeviceEngine : public Engine {
 public:
  DeviceEngine(const DeviceOps* ops, std::optional<at::ScalarType> compute_type)
      : given_(ops), compute_type_(compute_type) {}
  const char* name() const override { return "fused"; }

  std::unique_ptr<PackedWeights> prepare(const BlockSpec&, const NamedTensors& weights,
                                         at::ScalarType compute_type) const override {
    return std::make_unique<fused::DevicePacked>(weights, compute_type);
  }

  at::Tensor forward(const BlockSpec& block, const NamedTensors& weights, const at::Tensor& x_BTD,
                     const PackedWeights* packed) const override {
    const fused::DeviceBlock passes(ops(x_BTD), block, weights,
                                    dynamic_cast<const fused::DevicePacked*>(packed), x_BTD,
                                    compute_type_for(compute_type_, x_BTD));
    return fused::device_forward(ops(x_BTD), passes, x_BTD, nullptr, {});
  }

  at::Tensor forward_saving(const BlockSpec& block, const NamedTensors& weights,
                            const at::Tensor& x_BTD, const std::set<std::string>& trained,
                            std::unique_ptr<SavedActivations>& saved) const override {
    auto kept = std::make_unique<fused::SavedDeviceBlock>();
    kept->block = block;
    kept->compute_type = compute_type_for(compute_type_, x_BTD);
    kept->weights = weights;
    const fused::DeviceBlock passes(ops(x_BTD), block, weights, nullptr, x_BTD, kept->compute_type);
    at::Tensor out = fused::device_forward(ops(x_BTD), passes, x_BTD, kept.get(), trained);
    saved = std::move(kept);
    return out;
  }

  at::Tensor backward(std::unique_ptr<SavedActivations> saved,
                      const at::Tensor& output_gradient_BTD, UnitGrads* grads) const override {
    auto* block = dynamic_cast<fused::SavedDeviceBlock*>(saved.get());
    VIT22B_CHECK(block != nullptr, "fused engine: activations saved by another engine");
    return fused::device_backward(ops(block->x_BTD), *block, output_gradient_BTD, grads);
  }

 private:
  const DeviceOps& ops(const at::Tensor& x) const {
    return given_ != nullptr ? *given_ : device_ops(x.device());
  }

  const DeviceOps* given_;
  const std::optional<at::ScalarType> compute_type_;
};

}  // namespace

std::unique_ptr<Engine> make_device_engine(const DeviceOps* ops,
                                           std::optional<at::ScalarType> compute_type) {
  return std::make_unique<DeviceEngine>(ops, compute_type);
}

}  // namespace vit22b
