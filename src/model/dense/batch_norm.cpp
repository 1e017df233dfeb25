#include "model/dense/batch_norm.h"

#include <torch/csrc/autograd/custom_function.h>

#include "core/error.h"

namespace vit22b {
namespace {

std::vector<int64_t> all_but_channels(const at::Tensor& x) {
  std::vector<int64_t> dims = {0};
  for (int64_t dim = 2; dim < x.dim(); ++dim) dims.push_back(dim);
  return dims;
}

at::Tensor beside_channels(const at::Tensor& of_channels, const at::Tensor& x) {
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[1] = of_channels.numel();
  return of_channels.view(shape);
}

/// (x - mean) / sqrt(variance + eps) with the statistics of all ranks' values, which depend on x.
struct SharedNorm : torch::autograd::Function<SharedNorm> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                const at::Tensor& x, const Mesh* mesh) {
    const std::vector<int64_t> dims = all_but_channels(x);
    const int64_t own = x.numel() / x.size(1);
    const double count = mesh->sum(static_cast<double>(own), MeshAxis::kData);
    const at::Tensor mean = x.sum(dims, false, at::kDouble) / count;
    mesh->sum_(mean, MeshAxis::kData, "batch norm");
    const at::Tensor centred = x - beside_channels(mean.to(at::kFloat), x);
    const at::Tensor variance = centred.square().sum(dims, false, at::kDouble) / count;
    mesh->sum_(variance, MeshAxis::kData, "batch norm");
    const at::Tensor scale = (variance + kBatchNormEps).rsqrt().to(at::kFloat);
    const at::Tensor y = centred * beside_channels(scale, x);
    context->save_for_backward({y, scale});
    context->saved_data["mesh"] = reinterpret_cast<int64_t>(mesh);
    context->saved_data["count"] = count;
    const at::Tensor float_mean = mean.to(at::kFloat), float_variance = variance.to(at::kFloat);
    context->mark_non_differentiable({float_mean, float_variance});
    return {y, float_mean, float_variance};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &y = saved[0], &scale = saved[1], &dy = gradients[0];
    // Autograd keeps numbers; the mesh outlives the step. NOLINTNEXTLINE(performance-no-int-to-ptr)
    const auto* mesh = reinterpret_cast<const Mesh*>(context->saved_data["mesh"].toInt());
    const double count = context->saved_data["count"].toDouble();
    const std::vector<int64_t> dims = all_but_channels(y);
    const at::Tensor sums =
        at::stack({dy.sum(dims, false, at::kDouble), (dy * y).sum(dims, false, at::kDouble)}) /
        count;
    mesh->sum_(sums, MeshAxis::kData, "batch norm's gradient");
    const at::Tensor means = sums.to(at::kFloat);
    const at::Tensor dx = (dy - beside_channels(means[0], y) - y * beside_channels(means[1], y)) *
                          beside_channels(scale, y);
    return {dx, at::Tensor()};
  }
};

}  // namespace

void BatchNorm::note(const std::string& name, const at::Tensor& mean,
                     const at::Tensor& variance) const {
  statistics_[name + ".running_mean"] = weights_.at(name + ".running_mean").detach() - mean;
  statistics_[name + ".running_var"] = weights_.at(name + ".running_var").detach() - variance;
}

at::Tensor BatchNorm::by_batch(const std::string& name, const at::Tensor& x) const {
  const at::Tensor &weight = weights_.at(name + ".weight"), &bias = weights_.at(name + ".bias");
  const int64_t own = x.numel() / x.size(1);
  const double count = mesh_.sum(static_cast<double>(own), MeshAxis::kData);
  if (count < 2)
    throw UsageError("batch norm '", name,
                     "' sees a single value a channel; use a larger data.batch_size");
  const double unbiased = count / (count - 1);
  if (mesh_.size(MeshAxis::kData) == 1) {
    auto [y, mean, scale] = at::native_batch_norm(x, weight, bias, {}, {}, /*training=*/true,
                                                  /*momentum=*/0, kBatchNormEps);
    note(name, mean.detach(), (scale.detach().square().reciprocal() - kBatchNormEps) * unbiased);
    return y;
  }
  const auto normed = SharedNorm::apply(x, &mesh_);
  note(name, normed[1], normed[2] * unbiased);
  return normed[0] * beside_channels(weight, x) + beside_channels(bias, x);
}

at::Tensor BatchNorm::operator()(const std::string& name, const at::Tensor& x) const {
  if (is_training_) return by_batch(name, x);
  return at::batch_norm(x, weights_.at(name + ".weight"), weights_.at(name + ".bias"),
                        weights_.at(name + ".running_mean"), weights_.at(name + ".running_var"),
                        /*training=*/false, /*momentum=*/0, kBatchNormEps,
                        /*cudnn_enabled=*/false);
}

}  // namespace vit22b
