#include "model/engine/engines.h"
#include "model/engine/fused_block.h"

namespace vit22b {
namespace {

/// The block on own kernels: packed weights, fused epilogues, blockwise attention, and a backward
/// pass written by hand. Tensors on other devices go to the device engine.
class FusedEngine : public Engine {
 public:
  const char* name() const override { return "fused"; }

  std::unique_ptr<PackedWeights> prepare(const ViTConfig& config, const NamedTensors& weights,
                                         at::ScalarType compute_type) const override {
    if (!weights.begin()->second.is_cpu()) return device_->prepare(config, weights, compute_type);
    const fused::BlockLayout layout(config, weights);
    const cpu::Storage storage =
        compute_type == at::kFloat ? cpu::Storage::kFloat32 : cpu::Storage::kBFloat16;
    return std::make_unique<fused::PackedBlock>(layout, fused::BlockWeights(layout, weights),
                                                cpu::best_arithmetic(storage));
  }

  at::Tensor forward(const ViTConfig& config, const NamedTensors& weights, const at::Tensor& x_BTD,
                     const PackedWeights* packed) const override {
    if (!x_BTD.is_cpu()) return device_->forward(config, weights, x_BTD, packed);
    const fused::BlockLayout layout(config, weights);
    return fused::forward({layout, weights}, dynamic_cast<const fused::PackedBlock*>(packed), x_BTD,
                          nullptr, {});
  }

  at::Tensor forward_saving(const ViTConfig& config, const NamedTensors& weights,
                            const at::Tensor& x_BTD, const std::set<std::string>& trained,
                            std::unique_ptr<SavedActivations>& saved) const override {
    if (!x_BTD.is_cpu()) return device_->forward_saving(config, weights, x_BTD, trained, saved);
    auto block = std::make_unique<fused::SavedBlock>();
    block->config = &config;
    block->weights = weights;
    const fused::BlockLayout layout(config, weights);
    at::Tensor out = fused::forward({layout, weights}, nullptr, x_BTD, block.get(), trained);
    saved = std::move(block);
    return out;
  }

  at::Tensor backward(std::unique_ptr<SavedActivations> saved,
                      const at::Tensor& output_gradient_BTD, UnitGrads* grads) const override {
    auto* block = dynamic_cast<fused::SavedBlock*>(saved.get());
    if (block == nullptr) return device_->backward(std::move(saved), output_gradient_BTD, grads);
    return fused::backward(*block, output_gradient_BTD, grads);
  }

  LinearFunction linear() const override { return fused_linear; }

 private:
  std::unique_ptr<Engine> device_ = make_device_engine(nullptr);
};

}  // namespace

std::unique_ptr<Engine> make_fused_engine() {
  return std::make_unique<FusedEngine>();
}

}  // namespace vit22b
