#include "kernels/activation.h"

#include "core/error.h"

namespace vit22b {

at::Tensor gelu(const at::Tensor& x, const std::string& form) {
  VIT22B_CHECK(form == "gelu" || form == "gelu_tanh", "gelu: no form '", form, "'");
  return at::gelu(x, form == "gelu_tanh" ? "tanh" : "none");
}

}  // namespace vit22b
