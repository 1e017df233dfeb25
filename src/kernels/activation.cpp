#include "kernels/activation.h"

#include "core/error.h"

namespace vit22b {
namespace {

// ATen's word for a GELU's form.
const char* approximation(Activation activation) {
  return activation == Activation::kGeluTanh ? "tanh" : "none";
}

}  // namespace

Activation parse_activation(const std::string& word) {
  VIT22B_CHECK(word == "gelu" || word == "gelu_tanh", "no activation '", word, "'");
  return word == "gelu" ? Activation::kGelu : Activation::kGeluTanh;
}

at::Tensor activate(const at::Tensor& x, Activation activation) {
  return at::gelu(x, approximation(activation));
}

at::Tensor activate_backward(const at::Tensor& gradient, const at::Tensor& x,
                             Activation activation) {
  return at::gelu_backward(gradient, x, approximation(activation));
}

}  // namespace vit22b
