#include "eval/pixel_predictor.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/pixel_scores.h"

namespace vit22b {
namespace {

int64_t up_to_multiple(int64_t size, int64_t of) {
  return (size + of - 1) / of * of;
}

/// What is before a view that is filled around: the smaller half.
int64_t before(int64_t size, int64_t patch) {
  return (up_to_multiple(size, patch) - size) / 2;
}

/// The images with zeros below and on the right, or around, to whole patches.
at::Tensor filled(const at::Tensor& images_BCHW, int64_t patch, bool is_around) {
  const int64_t height = images_BCHW.size(2), width = images_BCHW.size(3);
  const int64_t below = up_to_multiple(height, patch) - height,
                right = up_to_multiple(width, patch) - width;
  if (below + right == 0) return images_BCHW;
  const int64_t top = is_around ? before(height, patch) : 0,
                left = is_around ? before(width, patch) : 0;
  return at::constant_pad_nd(images_BCHW, {left, right - left, top, below - top});
}

int64_t stride_of(const SegmentOptions& how) {
  return how.stride > 0 ? how.stride : std::max<int64_t>(1, how.window * 2 / 3);
}

int64_t scaled(int64_t side, double scale) {
  return std::max<int64_t>(1, std::llround(static_cast<double>(side) * scale));
}

}  // namespace

std::vector<int64_t> window_starts(int64_t size, int64_t window, int64_t stride) {
  std::vector<int64_t> starts;
  const int64_t count = std::max<int64_t>(0, size - window + stride - 1) / stride + 1;
  for (int64_t i = 0; i < count; ++i)
    starts.push_back(std::max<int64_t>(0, std::min(i * stride, size - window)));
  return starts;
}

PixelPredictor::PixelPredictor(Predictor& backbone, const ViTConfig& model,
                               const DenseHeadConfig& head, int64_t outputs, NamedTensors weights,
                               SegmentOptions how)
    : backbone_(backbone),
      model_(model),
      maps_(model, head),
      num_classes_(outputs),
      head_(make_dense_head(head, {maps_.count(), maps_.width(), num_classes_, model.patch_size})),
      weights_(std::move(weights)),
      how_(std::move(how)) {
  if (how_.window < 0 || how_.stride < 0 || (how_.window > 0 && how_.stride > how_.window))
    throw UsageError("window=", how_.window, " stride=", how_.stride,
                     ": want a stride of at most the window, so that every pixel is seen");
  if (how_.window % model_.patch_size != 0)
    throw UsageError("window=", how_.window, ": want a multiple of the patch, ", model_.patch_size);
  for (const double scale : how_.scales)
    if (!(scale > 0 && scale <= 16))
      throw UsageError("scales: ", scale, ", want numbers above 0 and up to 16");
  if (how_.is_padded_around && (how_.window > 0 || is_averaged()))
    throw UsageError(
        "a head whose pictures are filled around sees them whole: no windows, scales or "
        "flips");
  if (how_.scales.empty()) throw UsageError("scales is empty; want at least 1");
}

bool PixelPredictor::is_averaged() const {
  return how_.scales != std::vector<double>{1} || how_.has_flips;
}

int64_t PixelPredictor::num_passes(int64_t height, int64_t width) const {
  int64_t passes = 0;
  for (const double scale : how_.scales) {
    const int64_t rows = scaled(height, scale), columns = scaled(width, scale);
    if (how_.window == 0)
      ++passes;
    else
      passes += std::ssize(window_starts(rows, how_.window, stride_of(how_))) *
                std::ssize(window_starts(columns, how_.window, stride_of(how_)));
  }
  return passes * (how_.has_flips ? 2 : 1);
}

// The head's own places: [B, h, w, C] over `height` x `width` pixels, whole patches.
at::Tensor PixelPredictor::place_scores(const at::Tensor& images_BCHW, double& height,
                                        double& width) {
  const at::NoGradGuard no_grad;
  const at::Tensor images = filled(images_BCHW, model_.patch_size, how_.is_padded_around);
  const VitOutputs outputs = backbone_.features(images, maps_.taps());
  height = static_cast<double>(images.size(2));
  width = static_cast<double>(images.size(3));
  const std::vector<at::Tensor> maps =
      maps_.of(outputs, images.size(2), images.size(3), single_process());
  for (auto& [name, weight] : weights_) weight = weight.to(maps.front().device());
  return head_->forward(weights_, maps, /*training=*/nullptr).main_BHWC;
}

// The mean over sliding windows at each pixel.
at::Tensor PixelPredictor::window_scores(const at::Tensor& images_BCHW) {
  const int64_t height = images_BCHW.size(2), width = images_BCHW.size(3);
  const int64_t window_height = std::min(how_.window, height),
                window_width = std::min(how_.window, width);
  at::Tensor sum_BHWC = at::zeros({images_BCHW.size(0), height, width, num_classes_}, at::kFloat);
  at::Tensor count_HW1 = at::zeros({height, width, 1});
  for (const int64_t top : window_starts(height, how_.window, stride_of(how_)))
    for (const int64_t left : window_starts(width, how_.window, stride_of(how_))) {
      const auto part = [&](const at::Tensor& x, int64_t rows, int64_t columns) {
        return x.slice(rows, top, top + window_height).slice(columns, left, left + window_width);
      };
      double covered_height = 0, covered_width = 0;
      const at::Tensor scores =
          place_scores(part(images_BCHW, 2, 3).contiguous(), covered_height, covered_width);
      const at::Tensor pixels = upsampled(scores, static_cast<int64_t>(covered_height),
                                          static_cast<int64_t>(covered_width))
                                    .slice(1, 0, window_height)
                                    .slice(2, 0, window_width);
      part(sum_BHWC, 1, 2).add_(pixels.cpu());
      part(count_HW1, 0, 1).add_(1);
    }
  return sum_BHWC / count_HW1;
}

at::Tensor PixelPredictor::pixel_scores(const at::Tensor& images_BCHW) {
  if (how_.window > 0) return window_scores(images_BCHW);
  double height = 0, width = 0;
  const at::Tensor scores = place_scores(images_BCHW, height, width);
  return upsampled(scores, static_cast<int64_t>(height), static_cast<int64_t>(width))
      .slice(1, 0, images_BCHW.size(2))
      .slice(2, 0, images_BCHW.size(3))
      .cpu();
}

std::vector<ViewScores> PixelPredictor::views(const at::Tensor& images_BCHW) {
  at::Tensor scores_BHWC;
  auto height = static_cast<double>(images_BCHW.size(2)),
       width = static_cast<double>(images_BCHW.size(3));
  if (how_.window == 0 && !is_averaged()) {
    scores_BHWC = place_scores(images_BCHW, height, width).cpu();
  } else if (!is_averaged()) {
    scores_BHWC = pixel_scores(images_BCHW);
  } else {
    for (const double scale : how_.scales) {
      const at::Tensor images =
          scale == 1 ? images_BCHW
                     : at::upsample_bilinear2d(
                           images_BCHW,
                           {scaled(images_BCHW.size(2), scale), scaled(images_BCHW.size(3), scale)},
                           /*align_corners=*/false);
      for (const bool is_flipped : {false, true}) {
        if (is_flipped && !how_.has_flips) continue;
        at::Tensor scores = pixel_scores(is_flipped ? images.flip(3) : images);
        if (is_flipped) scores = scores.flip(2);
        const at::Tensor probabilities =
            at::softmax(upsampled(scores, images_BCHW.size(2), images_BCHW.size(3)), 3);
        scores_BHWC = scores_BHWC.defined() ? scores_BHWC + probabilities : probabilities;
      }
    }
  }
  const bool is_around = how_.is_padded_around;
  const auto first = [&](int64_t size) {
    return is_around ? static_cast<double>(before(size, model_.patch_size)) : 0;
  };
  std::vector<ViewScores> views;
  for (const at::Tensor& scores_HWC : scores_BHWC.unbind(0))
    views.push_back({scores_HWC.contiguous(), height, width, images_BCHW.size(2),
                     images_BCHW.size(3), first(images_BCHW.size(2)), first(images_BCHW.size(3))});
  return views;
}

at::Tensor classes_on_picture(const ViewScores& view, const Geometry& geometry) {
  const double down = static_cast<double>(view.scores_HWC.size(0)) / view.covered_rows,
               across = static_cast<double>(view.scores_HWC.size(1)) / view.covered_columns;
  if (geometry.source_height == 0)  // nothing has moved
    return interpolated_classes(view.scores_HWC, {down, 0}, view.rows, {across, 0}, view.columns);
  return interpolated_classes(
      view.scores_HWC, {down / geometry.scale_y, -geometry.offset_y * down / geometry.scale_y},
      geometry.source_height,
      {across / geometry.scale_x, -geometry.offset_x * across / geometry.scale_x},
      geometry.source_width);
}

double shown_share(const Geometry& geometry, int64_t height, int64_t width) {
  if (geometry.source_height == 0) return 1;
  const auto part = [](double scale, double offset, int64_t size, int64_t source) {
    const double a = offset, b = offset + scale * static_cast<double>(size);
    const double shown =
        std::min(std::max(a, b), static_cast<double>(source)) - std::max(std::min(a, b), 0.0);
    return std::clamp(shown / static_cast<double>(source), 0.0, 1.0);
  };
  return part(geometry.scale_y, geometry.offset_y, height, geometry.source_height) *
         part(geometry.scale_x, geometry.offset_x, width, geometry.source_width);
}

LoadedPixelPredictor load_pixel_predictor(const std::filesystem::path& checkpoint,
                                          const PredictorOptions& options,
                                          const SegmentOptions& how) {
  LoadedPixelPredictor loaded{load_predictor(checkpoint, options), {}, nullptr};
  const ModelInfo& info = loaded.model.info;
  if (!info.segmentation)
    throw CheckpointError(loaded.model.checkpoint.path().string(),
                          " has no head that names the class of every pixel; vit22b segment CONFIG "
                          "--init-from CKPT trains one");
  loaded.info = *info.segmentation;
  SegmentOptions own = how;
  if (own.window == 0) own.window = loaded.info.window;
  if (own.stride == 0 && own.window == loaded.info.window) own.stride = loaded.info.stride;
  loaded.pixels = std::make_unique<PixelPredictor>(
      *loaded.model.predictor, info.config, loaded.info.head, loaded.info.num_classes(),
      load_segmentation_head(loaded.model.checkpoint, loaded.info, info.config), own);
  return loaded;
}

}  // namespace vit22b
