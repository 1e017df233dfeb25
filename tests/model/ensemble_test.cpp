#include <gtest/gtest.h>

#include "checkpoint/container/safetensors_file.h"
#include "core/error.h"
#include "kernels/activation.h"
#include "kernels/mean_probability.h"
#include "model/flops.h"
#include "model/layers.h"
#include "support/files.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

using test::relative_difference;
using test::TinyModel;

ViTConfig ensemble_config(const std::string& block) {
  ViTConfig config = test::tiny_config(block == "gated" ? "parallel" : block);
  config.mlp.swiglu = block == "gated";
  config.plex.batch_ensemble_blocks = 2;
  config.plex.batch_ensemble_size = 3;
  return config;
}

at::Tensor logits_of(const TinyModel& model, const at::Tensor& images, bool keeps_members = false) {
  return vit_forward(model.context(), *model.store, images, {.keeps_members = keeps_members})
      .logits_BC;
}

TEST(BatchEnsemble, LayersMatchUncertaintyBaselines) {
  const SafetensorsFile file(test::source_path("tests/oracle/plex.safetensors"));
  NamedTensors weights;
  for (const std::string layer : {"fc1", "fc2"})
    for (const char* part : {"weight", "bias", "fast_in", "fast_out", "fast_bias"})
      weights[concat("mlp.", layer, ".", part)] = file.load(concat("mlp/", layer, ".", part));
  BlockSpec block;
  block.fc1 = {"mlp.fc1.weight", "mlp.fc1.bias", 0, 0, 12, 8};
  block.fc2 = {"mlp.fc2.weight", "mlp.fc2.bias", 0, 0, 8, 12};
  block.fc1.fast = {"mlp.fc1.fast_in", "mlp.fc1.fast_out", "mlp.fc1.fast_bias", 3};
  block.fc2.fast = {"mlp.fc2.fast_in", "mlp.fc2.fast_out", "mlp.fc2.fast_bias", 3};
  const Mesh mesh;
  const Layers layers(block, weights, mesh);
  const at::Tensor hidden = layers.rows(block.fc1, file.load("mlp/x"));
  EXPECT_LT(relative_difference(hidden, file.load("mlp/hidden")), 1e-6);
  EXPECT_LT(relative_difference(layers.columns(block.fc2, activate(hidden, Activation::kGeluTanh)),
                                file.load("mlp/y")),
            1e-6);
}

class Ensembles : public testing::TestWithParam<const char*> {
 protected:
  Ensembles() { at::manual_seed(1); }
  const at::NoGradGuard no_grad_;
};

TEST_P(Ensembles, OfEqualMembersAreThePlainModel) {
  const ViTConfig config = ensemble_config(GetParam());
  const TinyModel model(config);
  for (const auto& [name, tensor] : model.store->by_full_name()) {
    if (name.find(".fast_") == std::string::npos) continue;
    at::Tensor(tensor).fill_(name.ends_with("bias") ? 0 : 1);
  }
  ViTConfig alone = config;
  alone.plex = {};
  const TinyModel plain(alone);
  const at::Tensor images = model.images(3);
  EXPECT_LT(
      relative_difference(logits_of(model, images), at::log_softmax(logits_of(plain, images), 1)),
      1e-5);
}

TEST_P(Ensembles, MembersDifferAndTheirMeanIsWhatThePassGives) {
  const TinyModel model(ensemble_config(GetParam()));
  const at::Tensor images = model.images(4);
  const at::Tensor members = logits_of(model, images, true);
  ASSERT_EQ(members.size(0), 12);
  EXPECT_GT(relative_difference(members.slice(0, 0, 4), members.slice(0, 4, 8)), 1e-2);
  EXPECT_TRUE(
      test::is_same(logits_of(model, images), mean_over_members(members, 3, Link::kSoftmax)));
  const VitOutputs outputs = vit_forward(model.context(), *model.store, images, {.taps = {0, 2}});
  for (const at::Tensor& tensor :
       {outputs.pooled_BD, outputs.tokens_BTD, outputs.blocks.at(0), outputs.blocks.at(2)})
    EXPECT_EQ(tensor.size(0), 4);
}

TEST_P(Ensembles, AreTheSameInAnyBatchAndEngine) {
  TinyModel model(ensemble_config(GetParam()));
  const at::Tensor images = model.images(5);
  const at::Tensor whole = logits_of(model, images);
  for (const char* engine : {"reference", "fused"}) {
    model.engine = make_engine(engine);
    EXPECT_LT(relative_difference(logits_of(model, images), whole), 1e-5) << engine;
    for (int64_t i = 0; i < 5; ++i)
      EXPECT_LT(relative_difference(logits_of(model, images.slice(0, i, i + 1)),
                                    whole.slice(0, i, i + 1)),
                1e-5)
          << engine;
  }
}

INSTANTIATE_TEST_SUITE_P(Blocks, Ensembles, testing::Values("parallel", "serial", "gated"));

TEST(BatchEnsemble, FirstValuesAreSignsOrAroundOne) {
  ViTConfig config = ensemble_config("serial");
  const auto first_values = [&](double sign) {
    config.plex.batch_ensemble_sign = sign;
    for (const ParameterRow& row : parameter_table(config))
      if (row.name == "blocks.2.mlp.fc2.fast_in") return initial_tensor(row, 4);
    return at::Tensor();
  };
  EXPECT_TRUE(first_values(0.5).abs().eq(1).all().item<bool>());
  EXPECT_LT(first_values(0.5).mean().abs().item<double>(), 0.5);
  EXPECT_TRUE(first_values(1).eq(1).all().item<bool>());
  EXPECT_TRUE(first_values(0).eq(1).all().item<bool>());
  const at::Tensor around = first_values(-0.5);  // 90 values: 4 standard errors
  EXPECT_NEAR(around.mean().item<double>(), 1, 0.22);
  EXPECT_NEAR(around.std().item<double>(), 0.5, 0.15);
}

TEST(BatchEnsemble, ParametersAreThoseOfTheLastBlocks) {
  int64_t fast = 0;
  for (const ParameterRow& row : parameter_table(ensemble_config("parallel"))) {
    if (row.name.find("fast_") == std::string::npos) continue;
    ++fast;
    EXPECT_GE(row.unit.index, 1) << row.name;
    EXPECT_EQ(row.shape[0], 3) << row.name;
  }
  EXPECT_EQ(fast, 2 * 2 * 3);  // of two blocks with two layers each
}

TEST(BatchEnsemble, CountsEveryMembersPass) {
  const ViTConfig config = ensemble_config("serial");
  ViTConfig plain = config;
  plain.plex = {};
  ViTConfig deeper = plain;
  deeper.depth = 3 + 2 * 2;  // two blocks twice more
  EXPECT_EQ(forward_flops(config), forward_flops(deeper));
}

}  // namespace
}  // namespace vit22b
