#include "explain/depth_pictures.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>

namespace vit22b {
namespace {

bool is_red(const at::Tensor& pixel) {
  return pixel[0].item<int>() > pixel[2].item<int>();
}

TEST(DepthPicture, IsRedNearAndBlueFarAndBlackWithoutDepth) {
  const at::Tensor depth = at::tensor({1.F, 9.F, 0.F}).reshape({1, 3});
  const at::Tensor picture = depth_picture(depth, 0.5, 10);
  EXPECT_TRUE(is_red(picture[0][0]));
  EXPECT_FALSE(is_red(picture[0][1]));
  EXPECT_EQ(picture[0][2].max().item<int>(), 0);
}

TEST(DepthPicture, OfRelativeDepthsIsRedWhereTheyAreLarge) {
  const at::Tensor picture = depth_picture(at::tensor({9.F, 1.F, 0.F}).reshape({1, 3}), 10, 0);
  EXPECT_TRUE(is_red(picture[0][0]));
  EXPECT_FALSE(is_red(picture[0][1]));
  EXPECT_GT(picture[0][2].max().item<int>(), 0);  // 0 is a depth here
}

TEST(PointCloud, LiesOnTheRaysOfItsPixels) {
  at::Tensor depth = at::full({2, 4}, 3.F);
  depth[0][1] = 0;
  at::Tensor picture = at::zeros({2, 4, 3}, at::kByte);
  picture[1][3] = at::tensor({10, 20, 30}, at::kByte);
  const std::string ply = point_cloud(depth, picture, 6);
  EXPECT_NE(ply.find("element vertex 7\n"), std::string::npos);
  const size_t first = ply.find("end_header\n") + 11;
  constexpr size_t kPointBytes = 15;
  ASSERT_EQ(ply.size() - first, 7 * kPointBytes);
  const char* last = ply.data() + ply.size() - kPointBytes;
  float place[3];
  std::memcpy(place, last, sizeof place);
  EXPECT_FLOAT_EQ(place[0], 0.75F);  // 1.5 pixels to the right of the axis
  EXPECT_FLOAT_EQ(place[1], 0.25F);
  EXPECT_FLOAT_EQ(place[2], 3);
  EXPECT_EQ(std::string(last + 12, 3), "\x0a\x14\x1e");
}

}  // namespace
}  // namespace vit22b
