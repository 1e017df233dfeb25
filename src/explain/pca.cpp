#include "explain/pca.h"

#include <ATen/ATen.h>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/container/safetensors_writer.h"
#include "core/error.h"
#include "kernels/shape.h"

namespace vit22b {

void PcaFit::add(const at::Tensor& tokens_ND) {
  const at::Tensor x = tokens_ND.to(at::kCPU, at::kDouble);
  if (count_ == 0) {
    sum_D_ = at::zeros({x.size(1)}, at::kDouble);
    products_DD_ = at::zeros({x.size(1), x.size(1)}, at::kDouble);
  }
  count_ += x.size(0);
  sum_D_ += x.sum(0);
  products_DD_.addmm_(x.t(), x);
}

PcaBasis PcaFit::basis() const {
  if (count_ < 2) throw DataError("PCA of ", count_, " patches; want two or more");
  const auto n = static_cast<double>(count_);
  const at::Tensor mean = sum_D_ / n;
  const at::Tensor covariance = products_DD_ / n - at::outer(mean, mean);
  const auto [values, vectors] = at::linalg_eigh(covariance);  // ascending
  const int64_t found = std::min<int64_t>(3, values.size(0));
  at::Tensor directions = at::zeros({3, values.size(0)}, at::kDouble);
  directions.slice(0, 0, found).copy_(vectors.t().flip(0).slice(0, 0, found));
  // An eigenvector's sign is anybody's.
  const at::Tensor largest = directions.gather(1, directions.abs().argmax(1, /*keepdim=*/true));
  directions = at::where(largest < 0, -directions, directions);
  return {mean.to(at::kFloat), directions.to(at::kFloat), {}, {}};
}

at::Tensor project(const PcaBasis& basis, const at::Tensor& tokens_ND) {
  return at::mm(tokens_ND.to(at::kCPU, at::kFloat) - basis.mean_D, basis.directions_3D.t());
}

void set_range(PcaBasis& basis, const at::Tensor& projected_N3) {
  basis.low_3 = projected_N3.quantile(0.01, 0);
  basis.high_3 = projected_N3.quantile(0.99, 0);
}

at::Tensor colours(const PcaBasis& basis, const at::Tensor& projected_N3) {
  const at::Tensor range = (basis.high_3 - basis.low_3).clamp_min(1e-12);
  return ((projected_N3 - basis.low_3) / range).clamp(0, 1);
}

void save_basis(FileOps& ops, const std::filesystem::path& path, const PcaBasis& basis) {
  write_safetensors(ops, path,
                    {{"mean", basis.mean_D},
                     {"directions", basis.directions_3D},
                     {"low", basis.low_3},
                     {"high", basis.high_3}});
}

PcaBasis load_basis(const std::filesystem::path& path, int64_t width) {
  const SafetensorsFile file(path);
  PcaBasis basis{file.load("mean"), file.load("directions"), file.load("low"), file.load("high")};
  const bool is_fitting = basis.mean_D.sizes() == at::IntArrayRef{width} &&
                          basis.directions_3D.sizes() == at::IntArrayRef{3, width} &&
                          basis.low_3.sizes() == at::IntArrayRef{3} &&
                          basis.high_3.sizes() == at::IntArrayRef{3};
  if (!is_fitting)
    throw DataError(path.string(), " is a basis of width ", shape_text(basis.mean_D.sizes()),
                    ", the model's is ", width);
  return basis;
}

}  // namespace vit22b
