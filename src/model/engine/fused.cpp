#include "model/engine/engines.h"
#include "model/engine/fused_block.h"

namespace vit22b {
namespace {

/// The block on own kernels: packed weights, fused epilogues, blockwise attention, and a backward
/// pass written by hand. Tensors on other devices go to the device engine, on a model axis to the
/// reference.
class FusedEngine : public Engine {
 public:
  FusedEngine(const Mesh& mesh, std::optional<at::ScalarType> compute_type)
      : mesh_(mesh),
        compute_type_(compute_type),
        device_(make_device_engine(nullptr, compute_type)),
        reference_(make_reference_engine(mesh, compute_type)) {}
  const char* name() const override { return "fused"; }

  std::unique_ptr<PackedWeights> prepare(const ViTConfig& config, const NamedTensors& weights,
                                         at::ScalarType compute_type) const override {
    if (is_on_model_axis()) return nullptr;  // packed panels are of whole rows
    if (!weights.begin()->second.is_cpu())
      return elsewhere().prepare(config, weights, compute_type);
    const fused::BlockLayout layout(config, weights, mesh_);
    return std::make_unique<fused::PackedBlock>(layout,
                                                fused::BlockWeights(layout, weights, compute_type));
  }

  at::Tensor forward(const ViTConfig& config, const NamedTensors& weights, const at::Tensor& x_BTD,
                     const PackedWeights* packed) const override {
    if (!x_BTD.is_cpu()) return elsewhere().forward(config, weights, x_BTD, packed);
    const fused::BlockLayout layout(config, weights, mesh_);
    const fused::BlockWeights own(layout, weights, compute_type_for(compute_type_, x_BTD));
    if (is_on_model_axis()) return fused::mesh_forward(own, mesh_, x_BTD, nullptr, {});
    return fused::forward(own, dynamic_cast<const fused::PackedBlock*>(packed), x_BTD, nullptr, {});
  }

  at::Tensor forward_saving(const ViTConfig& config, const NamedTensors& weights,
                            const at::Tensor& x_BTD, const std::set<std::string>& trained,
                            std::unique_ptr<SavedActivations>& saved) const override {
    if (!x_BTD.is_cpu()) return elsewhere().forward_saving(config, weights, x_BTD, trained, saved);
    return save(config, weights, x_BTD, trained, saved, true);
  }

  void save_again(const ViTConfig& config, const NamedTensors& weights, const at::Tensor& x_BTD,
                  const std::set<std::string>& trained,
                  std::unique_ptr<SavedActivations>& saved) const override {
    if (!x_BTD.is_cpu()) return elsewhere().save_again(config, weights, x_BTD, trained, saved);
    save(config, weights, x_BTD, trained, saved, false);
  }

  at::Tensor backward(std::unique_ptr<SavedActivations> saved,
                      const at::Tensor& output_gradient_BTD, UnitGrads* grads) const override {
    auto* block = dynamic_cast<fused::SavedBlock*>(saved.get());
    if (block == nullptr) return elsewhere().backward(std::move(saved), output_gradient_BTD, grads);
    return is_on_model_axis() ? fused::mesh_backward(*block, output_gradient_BTD, grads)
                              : fused::backward(*block, output_gradient_BTD, grads);
  }

  LayerFunctions layer_functions() const override {
    return {fused_linear, fused_norm, fused_query_attention};
  }

 private:
  bool is_on_model_axis() const { return mesh_.size(MeshAxis::kModel) > 1; }
  const Engine& elsewhere() const { return is_on_model_axis() ? *reference_ : *device_; }

  // NOLINTNEXTLINE(readability-function-size): forward_saving's arguments and one more
  at::Tensor save(const ViTConfig& config, const NamedTensors& weights, const at::Tensor& x_BTD,
                  const std::set<std::string>& trained, std::unique_ptr<SavedActivations>& saved,
                  bool is_output_wanted) const {
    auto block = std::make_unique<fused::SavedBlock>();
    block->config = &config;
    block->mesh = &mesh_;
    block->compute_type = compute_type_for(compute_type_, x_BTD);
    block->weights = weights;
    const fused::BlockLayout layout(config, weights, mesh_);
    const fused::BlockWeights own(layout, weights, block->compute_type);
    at::Tensor out = is_on_model_axis() ? fused::mesh_forward(own, mesh_, x_BTD, block.get(),
                                                              trained, is_output_wanted)
                                        : fused::forward(own, nullptr, x_BTD, block.get(), trained);
    saved = std::move(block);
    return out;
  }

  const Mesh& mesh_;
  const std::optional<at::ScalarType> compute_type_;
  std::unique_ptr<Engine> device_, reference_;
};

}  // namespace

std::unique_ptr<Engine> make_fused_engine(const Mesh& mesh,
                                          std::optional<at::ScalarType> compute_type) {
  return std::make_unique<FusedEngine>(mesh, compute_type);
}

}  // namespace vit22b
