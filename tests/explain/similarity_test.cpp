#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "explain/method.h"

namespace vit22b {
namespace {

/// A class token and 2 x 3 patches, whose directions are known.
class KnownTokens : public Predictor {
 public:
  VitOutputs features(const at::Tensor& images_BCHW, const std::set<int64_t>& /*taps*/) override {
    VitOutputs outputs;
    const at::Tensor tokens_TD =
        at::tensor({9.0F, 9.0F, 1.0F, 0.0F, 5.0F, 0.0F, 0.0F, 2.0F,  // class token, first row
                    3.0F, 3.0F, 3.0F, 4.0F, -2.0F, 0.0F})            // second row
            .view({7, 2});
    outputs.tokens_BTD = tokens_TD.expand({images_BCHW.size(0), 7, 2}).clone();
    return outputs;
  }
  at::Tensor logits(const at::Tensor& /*images*/) override { throw InternalError("none"); }
  at::Tensor input_gradient(const at::Tensor& /*images*/, const at::Tensor& /*dlogits*/) override {
    throw InternalError("none");
  }
  at::Tensor attention(const at::Tensor& /*images*/, int64_t /*block*/) override {
    throw InternalError("none");
  }
  at::Tensor pool_attention(const at::Tensor& /*images*/) override { throw InternalError("none"); }
};

std::vector<Explanation> explained(double x, double y) {
  ViTConfig config;
  config.patch_size = 8;
  config.tokens.class_token = true;
  config.embed_dim = 2;
  KnownTokens predictor;
  Batch batch = batch_of(at::rand({2, 3, 16, 24}), at::zeros({2}, at::kLong));
  batch.ids = {"a", "b"};
  std::vector<Explanation> all;
  ExplainRequest request;
  request.at_x = x;
  request.at_y = y;
  explain_method("similarity")
      .explain({predictor, config}, request,
               [&](const std::function<void(const Batch&)>& use) { use(batch); },
               {[&](const Explanation& one) { all.push_back(one); }});
  return all;
}

TEST(Similarity, IsTheCosineOfEachPatchWithTheOneAtThePlace) {
  const auto first = explained(0, 0);
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[1].id, "b");
  const double diagonal = std::sqrt(0.5);
  const at::Tensor want =
      at::tensor({1.0, 1.0, 0.0, diagonal, 0.6, -1.0}).view({2, 3}).to(at::kFloat);
  EXPECT_TRUE(at::allclose(first[0].raw, want, 1e-6, 1e-6)) << first[0].raw;
  // Two thirds of the width and the whole height: the middle of 3 columns ends there.
  EXPECT_FLOAT_EQ(explained(0.66, 1)[0].raw[1][1].item<float>(), 1);
  EXPECT_FLOAT_EQ(explained(1, 1)[0].raw[1][2].item<float>(), 1);
}

TEST(Similarity, DrawsThePictureWithItsPatchFramedAndTheMapBesideIt) {
  const at::Tensor picture_HWC = explained(0.5, 0)[0].picture_HWC;  // the first row's second patch
  ASSERT_EQ(picture_HWC.size(0), 16);
  const at::Tensor red = at::tensor({255, 0, 0}, at::kByte);
  for (const auto& [y, x] : {std::pair(0, 8), std::pair(1, 15), std::pair(7, 9)})
    EXPECT_TRUE(picture_HWC[y][x].equal(red)) << y << ", " << x;
  for (const auto& [y, x] : {std::pair(3, 11), std::pair(0, 7), std::pair(8, 8)})
    EXPECT_FALSE(picture_HWC[y][x].equal(red)) << y << ", " << x;
}

}  // namespace
}  // namespace vit22b
