#include "metrics/patch_norms.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace vit22b::metrics {
namespace {

TEST(PatchNorms, CountsWhatIsFarAboveItsOwnPicturesMedian) {
  PatchNorms norms;
  // Medians 1.5 and 100: 4.6 is an artefact in the first picture, 250 none in the second.
  norms.add(at::tensor({1.0, 1.0, 2.0, 4.6, 100.0, 90.0, 250.0, 100.0}).view({2, 4}));
  EXPECT_EQ(norms.num_artefacts(), 1);
  EXPECT_EQ(norms.num_pictures_with(), 1);
  EXPECT_DOUBLE_EQ(norms.artefact_share(), 1.0 / 8);
  EXPECT_DOUBLE_EQ(norms.largest_ratio(), 4.6 / 1.5);
}

TEST(PatchNorms, ThreeTimesTheMedianIsNoneYet) {
  PatchNorms norms;
  norms.add(at::tensor({1.0, 1.0, 3.0}).view({1, 3}));
  EXPECT_EQ(norms.num_artefacts(), 0);
}

TEST(PatchNorms, OfNoPatchesAreUndefined) {
  PatchNorms norms;
  norms.add(at::zeros({2, 0}));
  EXPECT_TRUE(std::isnan(norms.artefact_share()));
  EXPECT_TRUE(std::isnan(norms.largest_ratio()));
}

}  // namespace
}  // namespace vit22b::metrics
