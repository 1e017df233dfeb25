#include "kernels/activation.h"

#include "core/error.h"

namespace vit22b {

Activation parse_activation(const std::string& word) {
  VIT22B_CHECK(word == "gelu" || word == "gelu_tanh", "no activation '", word, "'");
  return word == "gelu" ? Activation::kGelu : Activation::kGeluTanh;
}

const char* gelu_approximation(Activation activation) {
  return activation == Activation::kGeluTanh ? "tanh" : "none";
}

at::Tensor activate(const at::Tensor& x, Activation activation) {
  return at::gelu(x, gelu_approximation(activation));
}

}  // namespace vit22b
