#include "model/unit_graph.h"

#include "core/error.h"
#include "kernels/large_tensor.h"

namespace vit22b {

namespace {

at::Tensor as_float(const at::Tensor& weight) {
  if (weight.scalar_type() == at::kFloat) return weight;
  return empty_large(weight.sizes(), weight.options().dtype(at::kFloat)).copy_(weight);
}

// Lets go of what will be overwritten, before its successor is made.
void drop(UnitGrads* grads, const NamedTensors& leaves) {
  if (grads == nullptr || !grads->is_overwrite) return;
  for (const auto& [name, leaf] : leaves) grads->tensors.at(name).reset();
}

// Whether a gradient can be kept as it is: nothing else shares its memory.
bool is_ours(const at::Tensor& gradient) {
  return gradient.defined() && gradient.is_contiguous() && gradient.scalar_type() == at::kFloat &&
         gradient.use_count() == 1 && gradient.storage().use_count() == 1;
}

}  // namespace

UnitGraph record_unit(const UnitFunction& function, const NamedTensors& weights,
                      const at::Tensor& input, const std::set<std::string>& trained,
                      bool is_input_trained) {
  const at::AutoGradMode is_recording(true);
  UnitGraph graph;
  graph.input = input.detach();
  graph.is_input_trained = is_input_trained;
  if (is_input_trained) graph.input.requires_grad_(true);
  NamedTensors used = weights;
  for (const std::string& name : trained) {
    // A gradient has its leaf's dtype, and is to be float32 whatever the weight is stored in.
    at::Tensor leaf = as_float(weights.at(name).detach());
    leaf.requires_grad_(true);
    used[name] = leaf;
    graph.leaves[name] = leaf;
  }
  graph.output = function(used, graph.input);
  return graph;
}

at::Tensor backward_unit(UnitGraph& graph, const at::Tensor& output_gradient, UnitGrads* grads) {
  std::vector<at::Tensor> inputs;
  if (graph.input.requires_grad()) inputs.push_back(graph.input);
  for (const auto& [name, leaf] : graph.leaves) inputs.push_back(leaf);
  if (inputs.empty()) return {};
  VIT22B_CHECK(graph.leaves.empty() || grads != nullptr,
               "backward_unit: trained weights need a UnitGrads");
  drop(grads, graph.leaves);
  std::vector<at::Tensor> results = torch::autograd::grad(
      {graph.output}, inputs, {output_gradient.to(graph.output.scalar_type())},
      /*retain_graph=*/false, /*create_graph=*/false,
      /*allow_unused=*/true);
  size_t next = 0;
  at::Tensor input_gradient;
  if (graph.input.requires_grad()) input_gradient = results[next++];
  for (const auto& [name, leaf] : graph.leaves) {
    at::Tensor result = std::move(results[next++]);
    at::Tensor& target = grads->tensors.at(name);
    if (!grads->is_overwrite) {
      if (result.defined()) target.add_(result);
    } else if (!result.defined()) {
      target = at::zeros_like(leaf);
    } else {
      target = is_ours(result) ? result : result.clone(at::MemoryFormat::Contiguous);
    }
  }
  graph = {};
  return input_gradient;
}

}  // namespace vit22b
