#include "optim/clip.h"

namespace vit22b {

at::Tensor squared_norm(const std::vector<at::Tensor>& gradients) {
  if (gradients.empty()) return at::zeros({1}, at::kDouble);
  std::vector<at::Tensor> squares;
  squares.reserve(gradients.size());
  for (const at::Tensor& gradient : gradients) {
    const at::Tensor norm = at::linalg_vector_norm(gradient, 2);
    squares.push_back(norm.to(at::kDouble).square());
  }
  return at::stack(squares).sum().reshape({1});
}

double clip_scale(double norm, double clip_norm) {
  return clip_norm > 0 && norm > clip_norm ? clip_norm / norm : 1;
}

}  // namespace vit22b
