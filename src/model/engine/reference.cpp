#include <utility>

#include "core/error.h"
#include "model/block.h"
#include "model/engine/engines.h"

namespace vit22b {
namespace {

/// The block in plain ATen; its backward is ATen's autograd on the block's own graph.
class ReferenceEngine : public Engine {
 public:
  ReferenceEngine(const Mesh& mesh, std::optional<at::ScalarType> compute_type)
      : mesh_(mesh), compute_type_(compute_type) {}
  const char* name() const override { return "reference"; }

  std::unique_ptr<PackedWeights> prepare(const BlockSpec&, const NamedTensors&,
                                         at::ScalarType) const override {
    return nullptr;
  }

  at::Tensor forward(const BlockCall& call, const at::Tensor& x_BTD,
                     const PackedWeights*) const override {
    return block_forward({call.block, call.weights, mesh_}, x_BTD, call.sequence,
                         compute_type_for(compute_type_, x_BTD));
  }

  at::Tensor forward_saving(const BlockCall& call, const at::Tensor& x_BTD,
                            const std::set<std::string>& trained,
                            std::unique_ptr<SavedActivations>& saved) const override {
    const UnitFunction function = [&](const NamedTensors& weights, const at::Tensor& x) {
      return block_forward({call.block, weights, mesh_}, x, call.sequence,
                           compute_type_for(compute_type_, x));
    };
    auto graph = std::make_unique<UnitGraph>(
        record_unit(function, call.weights, x_BTD, trained, /*is_input_trained=*/true));
    at::Tensor output = graph->output.detach();
    saved = std::move(graph);
    return output;
  }

  at::Tensor backward(std::unique_ptr<SavedActivations> saved,
                      const at::Tensor& output_gradient_BTD, UnitGrads* grads) const override {
    auto* graph = dynamic_cast<UnitGraph*>(saved.get());
    VIT22B_CHECK(graph != nullptr, "reference engine: activations saved by another engine");
    return backward_unit(*graph, output_gradient_BTD, grads);
  }

 private:
  const Mesh& mesh_;
  const std::optional<at::ScalarType> compute_type_;
};

}  // namespace

std::unique_ptr<Engine> make_reference_engine(const Mesh& mesh,
                                              std::optional<at::ScalarType> compute_type) {
  return std::make_unique<ReferenceEngine>(mesh, compute_type);
}

}  // namespace vit22b
