#include "kernels/pixel_scores.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "kernels/cpu/pixel_scores.h"
#include "kernels/cpu/tasks.h"

namespace vit22b {
namespace {

void check(const at::Tensor& scores_BHWC, const at::Tensor& labels_BYX) {
  VIT22B_CHECK(
      scores_BHWC.dim() == 4 && labels_BYX.dim() == 3 && scores_BHWC.size(0) == labels_BYX.size(0),
      "pixel loss: scores ", scores_BHWC.sizes(), ", labels ", labels_BYX.sizes());
}

/// Between which two places each pixel lies, and how near the second.
cpu::Between between(const PlaceScale& scale, int64_t places, int64_t pixels) {
  cpu::Between all;
  for (int64_t i = 0; i < pixels; ++i) {
    const double at = std::clamp(scale.step * (static_cast<double>(i) + 0.5) + scale.first - 0.5,
                                 0.0, static_cast<double>(places - 1));
    const auto first = static_cast<int64_t>(at);
    all.first.push_back(static_cast<int32_t>(first));
    all.second.push_back(static_cast<int32_t>(std::min(first + 1, places - 1)));
    all.share.push_back(static_cast<float>(at - static_cast<double>(first)));
  }
  return all;
}

/// Places that cover as many pixels evenly.
PlaceScale even(int64_t places, int64_t pixels) {
  return {static_cast<double>(places) / static_cast<double>(pixels), 0};
}

bool is_for_cpu(const at::Tensor& scores_BHWC) {
  return scores_BHWC.is_cpu() && scores_BHWC.scalar_type() == at::kFloat;
}

/// A loss of upsampled scores by ATen's autograd.
template <class Loss>
PixelLoss by_autograd(const at::Tensor& scores_BHWC, const at::Tensor& labels_BYX,
                      const Loss& loss_of) {
  const at::AutoGradMode is_recording(true);
  const at::Tensor leaf = scores_BHWC.detach().to(at::kFloat).requires_grad_();
  const at::Tensor loss =
      loss_of(upsampled(leaf, labels_BYX.size(1), labels_BYX.size(2)).permute({0, 3, 1, 2}));
  loss.backward();
  return {loss.detach(), leaf.grad().contiguous()};
}

}  // namespace

at::Tensor upsampled(const at::Tensor& scores_BHWC, int64_t height, int64_t width) {
  return at::upsample_bilinear2d(scores_BHWC.permute({0, 3, 1, 2}), {height, width},
                                 /*align_corners=*/false)
      .permute({0, 2, 3, 1});
}

PixelLoss upsampled_cross_entropy_reference(const at::Tensor& scores_BHWC,
                                            const at::Tensor& labels_BYX,
                                            const at::Tensor& class_weights_C) {
  check(scores_BHWC, labels_BYX);
  constexpr int64_t kNone = -1;
  const auto pixels = static_cast<double>(labels_BYX.numel());
  return by_autograd(scores_BHWC, labels_BYX, [&](const at::Tensor& scores_BCYX) {
    const at::Tensor logs = at::log_softmax(scores_BCYX, 1);
    const at::Tensor of_pixels = at::nll_loss_nd(logs, labels_BYX.to(at::kLong).clamp_min(kNone),
                                                 class_weights_C, at::Reduction::Sum, kNone);
    return of_pixels / pixels;
  });
}

PixelLoss upsampled_cross_entropy(const at::Tensor& scores_BHWC, const at::Tensor& labels_BYX,
                                  const at::Tensor& class_weights_C) {
  check(scores_BHWC, labels_BYX);
  if (!is_for_cpu(scores_BHWC))
    return upsampled_cross_entropy_reference(scores_BHWC, labels_BYX, class_weights_C);
  const at::Tensor scores = scores_BHWC.contiguous(), labels = labels_BYX.contiguous();
  VIT22B_CHECK(labels.scalar_type() == at::kInt, "pixel loss: labels are int32");
  const int64_t images = scores.size(0), height = scores.size(1), width = scores.size(2),
                classes = scores.size(3), rows = labels.size(1), columns = labels.size(2);
  const cpu::Between down = between(even(height, rows), height, rows),
                     across = between(even(width, columns), width, columns);
  const at::Tensor weights =
      class_weights_C.defined() ? class_weights_C.to(at::kFloat).contiguous() : at::Tensor();
  at::Tensor gradient = at::zeros_like(scores);
  std::vector<double> losses(static_cast<size_t>(images));
  cpu::for_each_task(images, [&](int64_t image) {
    const int64_t place = image * height * width * classes;
    losses[static_cast<size_t>(image)] = cpu::pixel_loss(
        {.height = height,
         .width = width,
         .classes = classes,
         .scores = scores.const_data_ptr<float>() + place,
         .labels = labels.const_data_ptr<int32_t>() + image * rows * columns,
         .class_weights = weights.defined() ? weights.const_data_ptr<float>() : nullptr,
         .down = down,
         .across = across,
         .gradient_scale = static_cast<float>(1 / static_cast<double>(labels.numel())),
         .gradient = gradient.mutable_data_ptr<float>() + place});
  });
  const double sum = std::accumulate(losses.begin(), losses.end(), 0.0);
  return {
      at::scalar_tensor(sum / static_cast<double>(labels.numel()), at::TensorOptions(at::kFloat)),
      gradient};
}

PixelLoss upsampled_dice(const at::Tensor& scores_BHWC, const at::Tensor& labels_BYX) {
  check(scores_BHWC, labels_BYX);
  constexpr double kDiceEps = 1e-7;
  const int64_t classes = scores_BHWC.size(3);
  return by_autograd(scores_BHWC, labels_BYX, [&](const at::Tensor& scores_BCYX) {
    const at::Tensor is_labelled = labels_BYX.ge(0).unsqueeze(1);
    const at::Tensor wanted = at::one_hot(labels_BYX.to(at::kLong).clamp_min(0), classes)
                                  .permute({0, 3, 1, 2})
                                  .to(at::kFloat) *
                              is_labelled;
    const at::Tensor said = at::softmax(scores_BCYX, 1) * is_labelled;
    const at::Tensor both_C = (said * wanted).sum({0, 2, 3});
    const at::Tensor sizes_C = (said + wanted).sum({0, 2, 3});
    const at::Tensor occurs_C = wanted.sum({0, 2, 3}).gt(0);
    // segmentation_models_pytorch counts classes that do not occur as 0 in the mean.
    return ((1 - 2 * both_C / sizes_C.clamp_min(kDiceEps)) * occurs_C).mean();
  });
}

namespace {

/// Rows, or columns, of a tensor between its own.
at::Tensor mixed(const at::Tensor& x, int64_t dim, const cpu::Between& between) {
  const at::Tensor first = x.index_select(dim, at::tensor(between.first, at::kInt).to(x.device())),
                   second =
                       x.index_select(dim, at::tensor(between.second, at::kInt).to(x.device()));
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[static_cast<size_t>(dim)] = -1;
  return at::lerp(first, second, at::tensor(between.share, at::kFloat).to(x.device()).view(shape));
}

}  // namespace

at::Tensor interpolated_classes_reference(const at::Tensor& scores_HWC, const PlaceScale& down,
                                          int64_t rows, const PlaceScale& across, int64_t columns) {
  const at::Tensor tall = mixed(scores_HWC, 0, between(down, scores_HWC.size(0), rows));
  return mixed(tall, 1, between(across, scores_HWC.size(1), columns)).argmax(2).to(at::kInt).cpu();
}

at::Tensor interpolated_classes(const at::Tensor& scores_HWC, const PlaceScale& down, int64_t rows,
                                const PlaceScale& across, int64_t columns) {
  constexpr int64_t kRowsATask = 16;
  const at::Tensor scores = scores_HWC.cpu().contiguous();
  VIT22B_CHECK(scores.scalar_type() == at::kFloat && scores.dim() == 3,
               "interpolated_classes: scores are float32 [H, W, C]");
  const cpu::Between of_rows = between(down, scores.size(0), rows),
                     of_columns = between(across, scores.size(1), columns);
  at::Tensor classes = at::empty({rows, columns}, at::kInt);
  cpu::for_each_task((rows + kRowsATask - 1) / kRowsATask, [&](int64_t task) {
    const int64_t first = task * kRowsATask;
    cpu::pixel_classes({.width = scores.size(1),
                        .classes = scores.size(2),
                        .scores = scores.const_data_ptr<float>(),
                        .down = of_rows,
                        .across = of_columns,
                        .first_row = first,
                        .rows = std::min(kRowsATask, rows - first),
                        .result = classes.mutable_data_ptr<int32_t>() + first * columns});
  });
  return classes;
}

}  // namespace vit22b
