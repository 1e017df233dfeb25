#include "optim/clip.h"

#include <algorithm>
#include <numeric>

#include "kernels/cpu/tasks.h"
#include "kernels/cpu/update.h"

namespace vit22b {
namespace {

// Values that one task squares.
constexpr int64_t kPart = 1 << 15;

bool is_plain(const at::Tensor& gradient) {
  return gradient.is_cpu() && gradient.scalar_type() == at::kFloat && gradient.is_contiguous();
}

// On all threads, added in an order that does not depend on them.
double squared_norm_on_cpu(const std::vector<at::Tensor>& gradients) {
  struct Part {
    const float* data;
    int64_t count;
  };
  std::vector<Part> parts;
  for (const at::Tensor& gradient : gradients)
    for (int64_t first = 0; first < gradient.numel(); first += kPart)
      parts.push_back(
          {gradient.const_data_ptr<float>() + first, std::min(kPart, gradient.numel() - first)});
  std::vector<double> sums(parts.size());
  cpu::for_each_task(static_cast<int64_t>(parts.size()), [&](int64_t task) {
    const auto i = static_cast<size_t>(task);
    sums[i] = cpu::sum_of_squares(parts[i].count, parts[i].data);
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

at::Tensor squared_norm(const std::vector<at::Tensor>& gradients) {
  if (gradients.empty()) return at::zeros({1}, at::kDouble);
  if (std::all_of(gradients.begin(), gradients.end(), is_plain))
    return at::full({1}, squared_norm_on_cpu(gradients), at::kDouble);
  return at::stack(at::_foreach_norm(gradients, 2)).to(at::kDouble).square().sum().reshape({1});
}

at::Tensor clip_scale(const at::Tensor& norm, double clip_norm) {
  const at::Tensor scale =
      clip_norm > 0 ? norm.reciprocal().mul(clip_norm).clamp_max(1) : at::ones_like(norm);
  return at::where(at::isfinite(norm), scale, norm);
}

}  // namespace vit22b
