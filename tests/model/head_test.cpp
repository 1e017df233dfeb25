#include "model/head.h"

#include <gtest/gtest.h>

#include "checkpoint/container/safetensors_file.h"
#include "core/error.h"
#include "support/files.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

using test::relative_difference;

at::Tensor oracle(const std::string& name) {
  static const SafetensorsFile file(test::source_path("tests/oracle/plex.safetensors"));
  return file.load(name);
}

at::Tensor oracle_layer(const std::string& name) {
  return at::linear(oracle("head/x"), oracle("head/" + name + ".weight"),
                    oracle("head/" + name + ".bias"));
}

ViTConfig noisy_config(const std::string& block = "parallel") {
  ViTConfig config = test::tiny_config(block);
  config.plex.head = "heteroscedastic";
  config.plex.head_factors = 3;
  config.plex.head_samples = 17;
  return config;
}

TEST(MeanLogits, MatchUncertaintyBaselines) {
  const at::Tensor factors_BCK = oracle_layer("factors").unflatten(-1, {6, 4});
  const at::Tensor scale_BC = at::softplus(oracle_layer("diag")) + 1e-3;
  const at::Tensor of_factors = oracle("head/factor_noise"),
                   of_classes = oracle("head/class_noise");
  const double temperature = oracle("head/temperature").item<double>();
  for (const auto& [name, link] :
       {std::pair("softmax", Link::kSoftmax), {"sigmoid", Link::kSigmoid}}) {
    const auto expect = [&, link = link](const char* kind, const at::Tensor& factors,
                                         const LogitNoise& noise) {
      const at::Tensor got =
          mean_logits({oracle_layer("loc"), factors, scale_BC}, noise, temperature, link);
      // Sums of 13 float32 samples.
      EXPECT_LT(relative_difference(got, oracle(concat("head/", name, ".", kind))), 1e-6) << kind;
    };
    expect("all", factors_BCK, {of_factors, of_classes});
    expect("one", factors_BCK, {of_factors, of_classes.slice(1, 0, 1)});
    expect("diagonal", {}, {{}, of_classes});
  }
}

TEST(MeanLogits, WithoutNoiseAreThoseOfTheMeanOverTheTemperature) {
  at::manual_seed(1);
  const at::Tensor mean_BC = at::randn({5, 7}), zeros = at::zeros({5, 7});
  const LogitNoise noise{at::randn({11, 2}), at::randn({11, 7})};
  const NoisyLogits logits{mean_BC, at::zeros({5, 7, 2}), zeros};
  EXPECT_LT(relative_difference(mean_logits(logits, noise, 0.5, Link::kSoftmax),
                                at::log_softmax(mean_BC / 0.5, 1)),
            1e-6);
  EXPECT_LT(relative_difference(mean_logits(logits, noise, 0.5, Link::kSigmoid), mean_BC / 0.5),
            1e-5);  // through the inverse sigmoid
}

TEST(MeanLogits, GradientsAreThoseOfTheFormula) {
  at::manual_seed(2);
  const auto leaf = [](const at::Tensor& t) { return t.clone().requires_grad_(true); };
  // 3 x 800,000 values: several pieces of images and of samples.
  for (const auto& [samples, classes] : {std::pair<int64_t, int64_t>{13, 5}, {800, 3001}})
    for (const Link link : {Link::kSoftmax, Link::kSigmoid}) {
      const at::Tensor mean = leaf(at::randn({3, classes})),
                       factors = leaf(at::randn({3, classes, 2})),
                       scale = leaf(at::rand({3, classes}) + 0.1), d = at::randn({3, classes});
      const LogitNoise noise{at::randn({samples, 2}), at::randn({samples, classes})};
      const at::Tensor latent = (mean.unsqueeze(1) + scale.unsqueeze(1) * noise.classes_SC +
                                 at::matmul(noise.factors_SK, factors.transpose(1, 2))) /
                                1.5;
      at::Tensor want =
          (link == Link::kSoftmax ? at::softmax(latent, -1) : at::sigmoid(latent)).mean(1);
      want = link == Link::kSoftmax ? want.log() : want.log() - (1 - want).log();
      const at::Tensor got = mean_logits({mean, factors, scale}, noise, 1.5, link);
      EXPECT_LT(relative_difference(got, want), 1e-5);
      const auto of_want = torch::autograd::grad({want}, {mean, factors, scale}, {d}),
                 of_got = torch::autograd::grad({got}, {mean, factors, scale}, {d});
      for (size_t i = 0; i < of_want.size(); ++i)
        EXPECT_LT(relative_difference(of_got[i], of_want[i]), 2e-5) << i;
    }
}

TEST(MeanLogits, OfNoFactorsHaveGradientsToo) {
  const at::Tensor mean = at::zeros({2, 3}).requires_grad_(true), scale = at::ones({2, 3});
  const at::Tensor logits =
      mean_logits({mean, {}, scale}, {{}, at::zeros({4, 3})}, 1, Link::kSoftmax);
  const auto gradients = torch::autograd::grad({logits}, {mean}, {at::ones({2, 3})});
  EXPECT_LT(gradients[0].abs().max().item<double>(), 1e-6);  // 1 - 3 x 1/3
}

TEST(MeanOverMembers, MatchesUncertaintyBaselines) {
  const at::Tensor z = oracle("members/z");
  EXPECT_LT(relative_difference(mean_over_members(z, 3, Link::kSoftmax), oracle("members/softmax")),
            1e-6);
  EXPECT_LT(relative_difference(mean_over_members(z, 3, Link::kSigmoid), oracle("members/sigmoid")),
            1e-5);
}

TEST(HeteroscedasticHead, IsTheSameInAnyBatch) {
  at::manual_seed(3);
  const at::NoGradGuard no_grad;
  const test::TinyModel model(noisy_config());
  const at::Tensor images = model.images(5);
  const at::Tensor whole = vit_forward(model.context(), *model.store, images, {}).logits_BC;
  for (int64_t i = 0; i < 5; ++i)
    // Products of other sizes sum in another order.
    EXPECT_LT(
        relative_difference(
            vit_forward(model.context(), *model.store, images.slice(0, i, i + 1), {}).logits_BC,
            whole.slice(0, i, i + 1)),
        1e-5);
}

TEST(HeteroscedasticHead, EachStepHasNoiseOfItsOwnAndEvaluationsTheSame) {
  const ViTConfig config = noisy_config();
  const auto noise = [&](const NoiseKey& key) {
    return head_noise(config, key, at::kCPU).classes_SC;
  };
  EXPECT_TRUE(test::is_same(noise({}), noise({})));
  EXPECT_TRUE(test::is_same(noise({5, 2}), noise({5, 2})));
  EXPECT_FALSE(test::is_same(noise({5, 2}), noise({5, 3})));
  EXPECT_FALSE(test::is_same(noise({5, 2}), noise({6, 2})));
  EXPECT_FALSE(test::is_same(noise({0, 0}), noise({})));
}

TEST(HeteroscedasticHead, WithLittleNoiseIsThePlainHeadOverTheTemperature) {
  at::manual_seed(4);
  const at::NoGradGuard no_grad;
  ViTConfig config = noisy_config();
  config.plex.head_temperature = 2;
  const test::TinyModel model(config);
  const NamedTensors weights = model.store->by_full_name();
  for (const char* name : {"head.factors.weight", "head.factors.bias", "head.diag.weight"})
    at::Tensor(weights.at(name)).zero_();
  at::Tensor(weights.at("head.diag.bias")).fill_(-30);
  const test::TinyModel plain(test::tiny_config());
  const at::Tensor images = model.images(3);
  const at::Tensor want =
      at::log_softmax(vit_forward(plain.context(), *plain.store, images, {}).logits_BC / 2, 1);
  // What is left of the scale, 1e-3 and more, moves the mean of 17 samples by a part of itself.
  EXPECT_LT(
      relative_difference(vit_forward(model.context(), *model.store, images, {}).logits_BC, want),
      1e-3);
}

}  // namespace
}  // namespace vit22b
