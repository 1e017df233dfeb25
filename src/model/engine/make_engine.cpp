#include "core/error.h"
#include "kernels/attention.h"
#include "kernels/norm.h"
#include "model/engine/engines.h"
#include "model/layers.h"

namespace vit22b {

at::Tensor plain_norm(const at::Tensor& x, const NormSpec& norm) {
  return norm.is_centred ? layer_norm(x, norm.weight, norm.bias, norm.eps)
                         : rms_norm(x, norm.weight, norm.eps);
}

at::Tensor plain_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::linear(x, weight.to(x.scalar_type()),
                    bias.defined() ? bias.to(x.scalar_type()) : bias);
}

at::Tensor plain_query_attention(const at::Tensor& query_D, const at::Tensor& keys_values_BT2D,
                                 int64_t num_heads) {
  const auto heads = [&](const at::Tensor& x_BTD) { return split_heads(x_BTD, num_heads); };
  const auto keys_values = keys_values_BT2D.chunk(2, -1);
  const at::Tensor query_BTD = query_D.expand({keys_values_BT2D.size(0), 1, -1});
  return merge_heads(attention(heads(query_BTD), heads(keys_values[0]), heads(keys_values[1])))
      .squeeze(1);
}

std::unique_ptr<Engine> make_engine(const std::string& name) {
  return make_engine(name, single_process());
}

std::unique_ptr<Engine> make_engine(const std::string& name, const Mesh& mesh,
                                    std::optional<at::ScalarType> compute_type) {
  if (name == "reference") return make_reference_engine(mesh, compute_type);
  if (name == "fused") return make_fused_engine(mesh, compute_type);
  throw UsageError("engine '", name, "' is not built here; there are: fused, reference");
}

}  // namespace vit22b
