#include "kernels/activation.h"

#include "core/error.h"

namespace vit22b {
namespace {

// ATen's word for a GELU's form.
const char* approximation(Activation activation) {
  return activation == Activation::kGeluTanh ? "tanh" : "none";
}

bool is_logistic(Activation activation) {
  return activation == Activation::kQuickGelu || activation == Activation::kSilu;
}

}  // namespace

Activation parse_activation(const std::string& word) {
  static constexpr std::pair<const char*, Activation> kWords[] = {
      {"gelu_tanh", Activation::kGeluTanh},
      {"gelu", Activation::kGelu},
      {"quick_gelu", Activation::kQuickGelu},
      {"silu", Activation::kSilu}};
  for (const auto& [name, activation] : kWords)
    if (word == name) return activation;
  VIT22B_CHECK(false, "no activation '", word, "'");
}

at::Tensor activate(const at::Tensor& x, Activation activation) {
  if (is_logistic(activation)) return x * at::sigmoid(x * logistic_slope(activation));
  return at::gelu(x, approximation(activation));
}

at::Tensor activate_backward(const at::Tensor& gradient, const at::Tensor& x,
                             Activation activation) {
  if (is_logistic(activation)) {
    const double slope = logistic_slope(activation);
    const at::Tensor s = at::sigmoid(x * slope);
    return gradient * s * (1 + slope * x * (1 - s));
  }
  return at::gelu_backward(gradient, x, approximation(activation));
}

}  // namespace vit22b
