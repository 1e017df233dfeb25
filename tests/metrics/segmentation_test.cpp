#include "metrics/segmentation.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace vit22b::metrics {
namespace {

at::Tensor map_of(std::vector<int32_t> values, int64_t height, int64_t width) {
  return at::tensor(values, at::kInt).view({height, width});
}

TEST(SegmentationCounts, LeavesIgnoredPixelsOutOfTruthAndPrediction) {
  const PixelCounts counts =
      count_pixels(map_of({0, 0, 1, 1, 2, 2}, 2, 3), map_of({0, 1, 1, -1, -1, 0}, 2, 3), 4);
  EXPECT_EQ(counts.truth, (std::vector<int64_t>{2, 2, 0, 0}));
  EXPECT_EQ(counts.predicted, (std::vector<int64_t>{2, 1, 1, 0}));
  EXPECT_EQ(counts.both, (std::vector<int64_t>{1, 1, 0, 0}));
  const std::vector<double> iou = iou_per_class(counts);
  EXPECT_DOUBLE_EQ(iou[0], 1.0 / 3);
  EXPECT_DOUBLE_EQ(iou[1], 1.0 / 2);
  EXPECT_DOUBLE_EQ(iou[2], 0);  // said, but never so
  EXPECT_TRUE(std::isnan(iou[3]));
  EXPECT_DOUBLE_EQ(mean_of_defined(iou), (1.0 / 3 + 1.0 / 2) / 3);
  EXPECT_DOUBLE_EQ(pixel_accuracy(counts), 0.5);
  EXPECT_DOUBLE_EQ(dice_per_class(counts)[1], 2.0 / 3);
  EXPECT_TRUE(std::isnan(accuracy_per_class(counts)[2]));
}

TEST(SegmentationCounts, OfIgnoredPixelsAloneAreUndefined) {
  const PixelCounts counts = count_pixels(map_of({0, 1}, 1, 2), map_of({-1, -1}, 1, 2), 2);
  EXPECT_TRUE(std::isnan(mean_of_defined(iou_per_class(counts))));
  EXPECT_TRUE(std::isnan(pixel_accuracy(counts)));
  EXPECT_TRUE(std::isnan(mean_iou_interval({}, 0).low));
}

// By the definition: a pixel is inside when the whole square around it has its value.
at::Tensor boundary_by_squares(const at::Tensor& map_HW, int64_t reach) {
  const int64_t side = 2 * reach + 1;
  // What lies outside of the picture is another value than any.
  const at::Tensor map =
      at::constant_pad_nd(map_HW.to(at::kFloat), {reach, reach, reach, reach}, 99).unsqueeze(0);
  const auto largest = [&](const at::Tensor& x) {
    return at::max_pool2d(x, {side, side}, {1, 1})[0];
  };
  return largest(map).ne(-largest(-map));
}

TEST(SegmentationBoundaries, AreWhatTheDefinitionSays) {
  at::manual_seed(3);
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{61, 47}, {1, 9}, {3, 3}}) {
    // Blobs: random classes, magnified.
    const at::Tensor truth = at::randint(-1, 3, {(height + 6) / 7, (width + 6) / 7})
                                 .repeat_interleave(7, 0)
                                 .repeat_interleave(7, 1)
                                 .slice(0, 0, height)
                                 .slice(1, 0, width)
                                 .to(at::kInt);
    const at::Tensor said = at::where(truth.lt(0), truth, truth.roll({2}, {1}).clamp_min(0));
    const auto reach = std::max<int64_t>(
        1, std::lrint(0.02 * std::sqrt(static_cast<double>(height * height + width * width))));
    const at::Tensor in_truth = boundary_by_squares(truth, reach),
                     in_said = boundary_by_squares(said, reach), is_known = truth.ge(0);
    // Junk where nothing is known changes nothing.
    const PixelCounts counts =
        count_boundaries(at::where(truth.lt(0), at::full_like(said, 77), said), truth, 3);
    for (int64_t c = 0; c < 3; ++c) {
      const at::Tensor t = truth.eq(c).logical_and(in_truth).logical_and(is_known),
                       s = said.eq(c).logical_and(in_said).logical_and(is_known);
      EXPECT_EQ(counts.truth[static_cast<size_t>(c)], t.sum().item<int64_t>());
      EXPECT_EQ(counts.predicted[static_cast<size_t>(c)], s.sum().item<int64_t>());
      EXPECT_EQ(counts.both[static_cast<size_t>(c)], t.logical_and(s).sum().item<int64_t>());
    }
  }
}

TEST(SegmentationInterval, HoldsTheMeanAndShrinksWithPictures) {
  at::manual_seed(1);
  std::vector<PixelCounts> pictures;
  PixelCounts all(3);
  for (int i = 0; i < 64; ++i) {
    const at::Tensor truth = at::randint(0, 3, {9, 9}, at::kInt);
    const at::Tensor said =
        at::where(at::rand({9, 9}).lt(0.7), truth, at::randint(0, 3, {9, 9}, at::kInt));
    pictures.push_back(count_pixels(said, truth, 3));
    all.add(pictures.back());
  }
  const double mean = mean_of_defined(iou_per_class(all));
  const Interval whole = mean_iou_interval(pictures, 0);
  pictures.resize(8);
  const Interval part = mean_iou_interval(pictures, 0);
  EXPECT_LT(whole.low, mean);
  EXPECT_GT(whole.high, mean);
  EXPECT_LT(whole.high - whole.low, part.high - part.low);
}

}  // namespace
}  // namespace vit22b::metrics
