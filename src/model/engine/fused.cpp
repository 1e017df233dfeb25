#include "model/engine/engines.h"
#include "model/engine/projections.h"

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

  std::unique_ptr<PackedWeights> prepare(const BlockSpec& block, const NamedTensors& weights,
                                         at::ScalarType compute_type) const override {
    if (is_on_model_axis()) return nullptr;  // packed panels are of whole rows
    if (!weights.begin()->second.is_cpu()) return elsewhere().prepare(block, weights, compute_type);
    return std::make_unique<fused::PackedBlock>(block,
                                                fused::BlockWeights(block, weights, compute_type));
  }

  at::Tensor forward(const BlockSpec& block, const NamedTensors& weights, const at::Tensor& x_BTD,
                     const PackedWeights* packed) const override {
    if (!x_BTD.is_cpu()) return elsewhere().forward(block, weights, x_BTD, packed);
    const fused::BlockWeights own(block, weights, compute_type_for(compute_type_, x_BTD));
    const auto projections = fused::make_projections(
        own, mesh_, dynamic_cast<const fused::PackedBlock*>(packed), nullptr);
    return fused::forward(own, *projections, x_BTD, nullptr, {});
  }

  at::Tensor forward_saving(const BlockSpec& block, const NamedTensors& weights,
                            const at::Tensor& x_BTD, const std::set<std::string>& trained,
                            std::unique_ptr<SavedActivations>& saved) const override {
    if (!x_BTD.is_cpu()) return elsewhere().forward_saving(block, weights, x_BTD, trained, saved);
    return save(block, weights, x_BTD, trained, saved, true);
  }

  void save_again(const BlockSpec& block, const NamedTensors& weights, const at::Tensor& x_BTD,
                  const std::set<std::string>& trained,
                  std::unique_ptr<SavedActivations>& saved) const override {
    if (!x_BTD.is_cpu()) return elsewhere().save_again(block, weights, x_BTD, trained, saved);
    save(block, weights, x_BTD, trained, saved, false);
  }

  at::Tensor backward(std::unique_ptr<SavedActivations> saved,
                      const at::Tensor& output_gradient_BTD, UnitGrads* grads) const override {
    auto* block = dynamic_cast<fused::SavedBlock*>(saved.get());
    if (block == nullptr) return elsewhere().backward(std::move(saved), output_gradient_BTD, grads);
    return fused::backward(*block, output_gradient_BTD, grads);
  }

  LayerFunctions layer_functions() const override {
    return {fused_linear, fused_norm, fused_query_attention};
  }

 private:
  bool is_on_model_axis() const { return mesh_.size(MeshAxis::kModel) > 1; }
  const Engine& elsewhere() const { return is_on_model_axis() ? *reference_ : *device_; }

  // NOLINTNEXTLINE(readability-function-size): forward_saving's arguments and one more
  at::Tensor save(const BlockSpec& block, const NamedTensors& weights, const at::Tensor& x_BTD,
                  const std::set<std::string>& trained, std::unique_ptr<SavedActivations>& saved,
                  bool is_output_wanted) const {
    auto kept = std::make_unique<fused::SavedBlock>();
    kept->block = block;
    kept->mesh = &mesh_;
    kept->compute_type = compute_type_for(compute_type_, x_BTD);
    kept->weights = weights;
    const fused::BlockWeights own(block, weights, kept->compute_type);
    const auto projections = fused::make_projections(own, mesh_, nullptr, nullptr);
    at::Tensor out =
        fused::forward(own, *projections, x_BTD, kept.get(), trained, is_output_wanted);
    saved = std::move(kept);
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
