#include "model/dense/depth_output.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/error.h"

namespace vit22b {
namespace {

TEST(DepthOutput, OfBinsIsTheirMeanWeightedByScores) {
  DepthOutput output;
  output.bins = 3;
  output.min_depth = 1;
  output.max_depth = 5;
  output.upsample = 1;
  // Bins 1, 3 and 5; scores -2, 1 and 0.4 weigh 0.1, 1.1 and 0.5.
  const at::Tensor scores = at::tensor({-2.F, 1.F, 0.4F}).reshape({1, 1, 1, 3});
  EXPECT_NEAR(output.depths(scores).item<float>(), (0.1 + 3.3 + 2.5) / 1.7, 1e-5);
  EXPECT_EQ(output.num_scores(), 3);
}

TEST(DepthOutput, OfLogarithmsIsTheirInverse) {
  DepthOutput output;
  output.output = "log";
  output.upsample = 1;
  EXPECT_EQ(output.num_scores(), 1);
  const at::Tensor depth = at::tensor({0.5F, 7.F, 30.F}).reshape({1, 1, 3, 1});
  const at::Tensor said = output.depths(depth.log1p());
  EXPECT_TRUE(at::allclose(said.flatten(), depth.flatten(), 1e-5));
  EXPECT_EQ(output.bounded(said).max().item<float>(), 10);  // its own bound
}

TEST(DepthOutput, OfOneScoreIsWhatItsNameSays) {
  DepthOutput output;
  output.min_depth = 0.5;
  output.max_depth = 20;
  const at::Tensor scores = at::tensor({-1.F, 0.F, 3.F}).reshape({1, 1, 3, 1});
  const auto said = [&](const char* name) {
    output.output = name;
    return output.depths(scores, /*are_fine=*/true).flatten();
  };
  EXPECT_TRUE(said("metres").equal(at::tensor({0.5F, 0.5F, 3.5F})));
  EXPECT_TRUE(said("relative").equal(at::tensor({0.F, 0.F, 3.F})));
  EXPECT_NE(output.unit(), "m");
  EXPECT_EQ(output.bounded(at::tensor({100.F})).item<float>(), 100);  // has no bound
  EXPECT_EQ(said("sigmoid")[1].item<float>(), 10);
  EXPECT_EQ(output.unit(), "m");
}

TEST(DepthOutput, HasPlacesBetweenPatches) {
  DepthOutput output;
  output.bins = 4;
  EXPECT_EQ(output.depths(at::rand({2, 3, 5, 4})).sizes(), (std::vector<int64_t>{2, 12, 20}));
}

TEST(DepthOutput, IsWithinItsBoundsWhateverTheScores) {
  DepthOutput output;
  output.bins = 7;
  const at::Tensor depths = output.depths(100 * at::randn({1, 4, 4, 7}));
  EXPECT_GE(depths.min().item<float>(), 0.001F);
  EXPECT_LE(depths.max().item<float>(), 10.F);
}

TEST(DepthOutput, RefusesBoundsAndCountsThatAreNone) {
  const auto refuses = [](const std::function<void(DepthOutput&)>& change) {
    DepthOutput output;
    change(output);
    EXPECT_THROW(output.check(), UsageError);
  };
  refuses([](DepthOutput& o) { o.bins = 1; });
  refuses([](DepthOutput& o) { o.upsample = 0; });
  refuses([](DepthOutput& o) { o.min_depth = 0; });
  refuses([](DepthOutput& o) { o.max_depth = o.min_depth; });
  refuses([](DepthOutput& o) { o.max_depth = INFINITY; });
}

}  // namespace
}  // namespace vit22b
