#include "core/error.h"
#include "kernels/norm.h"
#include "model/engine/engines.h"

namespace vit22b {

at::Tensor plain_norm(const at::Tensor& x, const NormSpec& norm) {
  return norm.is_centred ? layer_norm(x, norm.weight, norm.bias, norm.eps)
                         : rms_norm(x, norm.weight, norm.eps);
}

at::Tensor plain_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::linear(x, weight.to(x.scalar_type()),
                    bias.defined() ? bias.to(x.scalar_type()) : bias);
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
