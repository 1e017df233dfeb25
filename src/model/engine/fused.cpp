#include "model/engine/block_steps.h"
#include "model/engine/engines.h"

namespace vit22b {
namespace {

// What the pass adds to: vectors, and what several layers share. Other matrices it overwrites.
void zero_sums(const BlockSpec& block, UnitGrads& grads) {
  for (auto& [name, tensor] : grads.tensors)
    if (tensor.dim() == 1) tensor.zero_();
  for (const LinearSpec* layer : block.layers())
    if (const auto a = grads.tensors.find(layer->adapter.a); a != grads.tensors.end())
      a->second.zero_();
}

/// The block on own kernels: packed weights, fused epilogues, blockwise attention, and a backward
/// pass written by hand. Tensors on other devices take those devices' steps; there on a model axis,
/// and with adapters, the reference, as everywhere with members' own vectors.
class FusedEngine : public Engine {
 public:
  FusedEngine(const Mesh& mesh, std::optional<at::ScalarType> compute_type)
      : mesh_(mesh),
        compute_type_(compute_type),
        reference_(make_reference_engine(mesh, compute_type)) {}
  const char* name() const override { return "fused"; }

  std::unique_ptr<PackedWeights> prepare(const BlockSpec& block, const NamedTensors& weights,
                                         at::ScalarType compute_type) const override {
    if (block.has_members()) return nullptr;
    if (is_on_model_axis()) return nullptr;  // packed panels are of whole rows
    if (is_own(weights.begin()->second)) return fused::pack_locally(block, weights, compute_type);
    return fused::pack_for_device(weights, compute_type);
  }

  at::Tensor forward(const BlockCall& call, const at::Tensor& x_BTD,
                     const PackedWeights* packed) const override {
    if (is_references(call.block, x_BTD)) return reference_->forward(call, x_BTD, packed);
    const at::ScalarType type = compute_type_for(compute_type_, x_BTD);
    const auto steps = make_steps({call.block, call.weights, call.sequence, type, x_BTD}, packed);
    return fused::forward(call.block, *steps, x_BTD, nullptr, {});
  }

  at::Tensor forward_saving(const BlockCall& call, const at::Tensor& x_BTD,
                            const std::set<std::string>& trained,
                            std::unique_ptr<SavedActivations>& saved) const override {
    if (is_references(call.block, x_BTD))
      return reference_->forward_saving(call, x_BTD, trained, saved);
    return save(call, x_BTD, trained, saved, true);
  }

  void save_again(const BlockCall& call, const at::Tensor& x_BTD,
                  const std::set<std::string>& trained,
                  std::unique_ptr<SavedActivations>& saved) const override {
    if (is_references(call.block, x_BTD))
      return reference_->save_again(call, x_BTD, trained, saved);
    save(call, x_BTD, trained, saved, false);
  }

  at::Tensor backward(std::unique_ptr<SavedActivations> saved,
                      const at::Tensor& output_gradient_BTD, UnitGrads* grads) const override {
    auto* block = dynamic_cast<fused::SavedBlock*>(saved.get());
    if (block == nullptr) return reference_->backward(std::move(saved), output_gradient_BTD, grads);
    if (grads != nullptr && grads->is_overwrite) zero_sums(block->block, *grads);
    const at::Tensor x_BTD = block->x_BTD;
    const auto steps = make_steps(
        {block->block, block->weights, block->sequence, block->compute_type, x_BTD, grads},
        nullptr);
    return fused::backward(*block, *steps, output_gradient_BTD);
  }

  LayerFunctions layer_functions() const override {
    return {fused_linear, fused_norm, fused_query_attention};
  }

 protected:
  /// Whether the CPU's own steps take a tensor.
  virtual bool is_own(const at::Tensor& tensor) const { return tensor.is_cpu(); }
  virtual const DeviceOps& ops(const at::Tensor& tensor) const {
    return device_ops(tensor.device());
  }

 private:
  bool is_on_model_axis() const { return mesh_.size(MeshAxis::kModel) > 1; }
  bool is_references(const BlockSpec& block, const at::Tensor& x) const {
    return block.has_members() || (!is_own(x) && (is_on_model_axis() || block.has_adapters()));
  }

  std::unique_ptr<fused::BlockSteps> make_steps(const fused::BlockWork& work,
                                                const PackedWeights* packed) const {
    const int64_t images = work.x_BTD.size(0), tokens = work.x_BTD.size(1);
    work.sequence.mask.check(images, tokens, tokens);
    work.sequence.rotary.check(tokens, work.block.head_size());
    if (!is_own(work.x_BTD)) return fused::make_device_steps(work, ops(work.x_BTD), packed);
    return is_on_model_axis() ? fused::make_ring_steps(work, mesh_)
                              : fused::make_local_steps(work, packed);
  }

  at::Tensor save(const BlockCall& call, const at::Tensor& x_BTD,
                  const std::set<std::string>& trained, std::unique_ptr<SavedActivations>& saved,
                  bool is_output_wanted) const {
    auto kept = std::make_unique<fused::SavedBlock>();
    kept->block = call.block;
    kept->sequence = call.sequence;
    kept->compute_type = compute_type_for(compute_type_, x_BTD);
    kept->weights = call.weights;
    const auto steps =
        make_steps({call.block, call.weights, call.sequence, kept->compute_type, x_BTD}, nullptr);
    at::Tensor out =
        fused::forward(call.block, *steps, x_BTD, kept.get(), trained, is_output_wanted);
    saved = std::move(kept);
    return out;
  }

  const Mesh& mesh_;
  const std::optional<at::ScalarType> compute_type_;
  const std::unique_ptr<Engine> reference_;
};

/// The same with every tensor taken for a device's.
class DeviceEngine : public FusedEngine {
 public:
  DeviceEngine(const DeviceOps* ops, std::optional<at::ScalarType> compute_type)
      : FusedEngine(single_process(), compute_type), given_(ops) {}

 protected:
  bool is_own(const at::Tensor&) const override { return false; }
  const DeviceOps& ops(const at::Tensor& tensor) const override {
    return given_ != nullptr ? *given_ : FusedEngine::ops(tensor);
  }

 private:
  const DeviceOps* given_;
};

}  // namespace

std::unique_ptr<Engine> make_fused_engine(const Mesh& mesh,
                                          std::optional<at::ScalarType> compute_type) {
  return std::make_unique<FusedEngine>(mesh, compute_type);
}

std::unique_ptr<Engine> make_device_engine(const DeviceOps* ops,
                                           std::optional<at::ScalarType> compute_type) {
  return std::make_unique<DeviceEngine>(ops, compute_type);
}

}  // namespace vit22b
