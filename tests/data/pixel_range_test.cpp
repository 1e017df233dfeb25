#include "data/pixel_range.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

PixelRange range(const std::string& transform) {
  return pixel_range(transform).value();
}

TEST(PixelRange, IsTheTransformsLastWordOnNumbers) {
  EXPECT_EQ(range_operation("decode|rgb|resize(8)| normalize(0.1,0.2,0.3,1,1,1)"),
            "normalize(0.1,0.2,0.3,1,1,1)");
  EXPECT_EQ(range_operation("decode|rgb"), "");
  EXPECT_FALSE(pixel_range("decode|rgb").has_value());
  EXPECT_EQ(range("decode|value_range(0,1)").scale, std::vector<double>{1.0 / 255});
  EXPECT_EQ(range("normalize(0.5,0.25,1,2)").shift, (std::vector<double>{-0.5, -0.125}));
}

TEST(PixelRange, IsTheSameByMeansAsByEnds) {
  EXPECT_TRUE(range("value_range(-1,1)").is_near(range("normalize(0.5,0.5,0.5,0.5,0.5,0.5)")));
  EXPECT_TRUE(range("normalize(0,1)").is_near(range("value_range(0,1)")));
  EXPECT_FALSE(range("value_range(-1,1)").is_near(range("value_range(0,1)")));
  EXPECT_FALSE(range("normalize(0.5,0.5,0.5,0.5)").is_near(range("normalize(0.5,0.5,0.5,1,1,1)")));
}

TEST(PixelRange, TurnsPixelsOfOneRangeIntoAnother) {
  const at::Tensor bytes = at::randint(0, 256, {2, 3, 5, 7}, at::kFloat);
  const auto made = [&](const char* transform) {
    const PixelRange r = range(transform);
    at::Tensor out = bytes.clone();
    for (int64_t c = 0; c < 3; ++c) {
      const size_t i = r.scale.size() == 1 ? 0 : static_cast<size_t>(c);
      out.select(1, c).mul_(r.scale[i]).add_(r.shift[i]);
    }
    return out;
  };
  const char* imagenet = "normalize(0.485,0.456,0.406,0.229,0.224,0.225)";
  // Two roundings of values up to 2.7.
  EXPECT_LT((in_range(made("value_range(-1,1)"), range("value_range(-1,1)"), range(imagenet)) -
             made(imagenet))
                .abs()
                .max()
                .item<float>(),
            1e-6);
  const at::Tensor images = made(imagenet);
  EXPECT_TRUE(in_range(images, range(imagenet), range(imagenet)).is_same(images));
}

TEST(PixelRange, RefusesWhatIsNoRange) {
  EXPECT_EQ(test::error_of<UsageError>([] { pixel_range("value_range(1,1)"); }),
            "preprocessing: value_range wants two different values, got 1 twice");
  EXPECT_EQ(test::error_of<UsageError>([] {
              in_range(at::zeros({1, 1, 2, 2}), range("value_range(0,1)"),
                       range("normalize(0.1,0.1,0.1,1,1,1)"));
            }),
            "preprocessing: a range of 3 channels, the images have 1");
}

}  // namespace
}  // namespace vit22b
