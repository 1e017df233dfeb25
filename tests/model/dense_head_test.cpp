#include "model/dense/dense_head.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "checkpoint/container/safetensors_file.h"
#include "dist/threads.h"
#include "kernels/pixel_scores.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::relative_difference;

/// The tensors of a file of tests/oracle whose names begin so.
struct Oracle {
  explicit Oracle(const std::string& group, const std::string& from = "dense") {
    const SafetensorsFile file(test::source_path("tests/oracle/" + from + ".safetensors"));
    for (const auto& [name, entry] : file.entries())
      if (name.starts_with(group + "/")) tensors[name.substr(group.size() + 1)] = file.load(name);
  }
  const at::Tensor& at(const std::string& name) const { return tensors.at(name); }

  std::vector<at::Tensor> maps() const {
    std::vector<at::Tensor> maps;
    for (int64_t i = 0; tensors.count(concat("map.", i)) != 0; ++i)
      maps.push_back(at(concat("map.", i)).clone().requires_grad_());
    return maps;
  }
  /// The weights that its gradients or statistics are of, as leaves.
  NamedTensors weights() const {
    NamedTensors weights;
    for (const auto& [name, tensor] : tensors) {
      const bool is_trained = tensors.count("d." + name) != 0 && !name.starts_with("map.");
      if (is_trained) weights[name] = tensor.clone().requires_grad_();
      if (name.ends_with("running_mean") || name.ends_with("running_var"))
        if (!name.starts_with("after.")) weights[name] = tensor;
    }
    return weights;
  }

  NamedTensors tensors;
};

/// Checks gradients of leaves against what the oracle has for them.
void expect_gradients(const Oracle& oracle, const NamedTensors& weights,
                      const std::vector<at::Tensor>& maps) {
  // A bias before a batch norm has none but what rounding leaves.
  constexpr double kNothing = 1e-4;
  for (const auto& [name, weight] : weights) {
    if (!weight.requires_grad()) continue;
    const at::Tensor& want = oracle.at("d." + name);
    if (want.abs().max().item<double>() < 1e-9)
      EXPECT_LT(weight.grad().abs().max().item<double>(), kNothing) << name;
    else
      EXPECT_LT(relative_difference(weight.grad(), want), 1e-5) << name;
  }
  for (size_t i = 0; i < maps.size(); ++i)
    EXPECT_LT(relative_difference(maps[i].grad(), oracle.at(concat("d.map.", i))), 1e-5) << i;
}

DenseHeadConfig head_config(const std::string& head) {
  DenseHeadConfig config;
  config.head = head;
  config.channels = 8;
  config.aux_channels = 6;
  return config;
}

DenseScores pass(const DenseHead& head, const NamedTensors& weights,
                 const std::vector<at::Tensor>& maps, NamedTensors& statistics) {
  const at::AutoGradMode is_recording(true);
  const DensePass training{single_process(), 0, 0, at::arange(2), statistics};
  return head.forward(weights, maps, &training);
}

TEST(LinearDenseHead, MatchesSegmentersDecoder) {
  const Oracle oracle("linear");
  const auto head = make_dense_head(head_config("linear"), {1, 12, 6});
  NamedTensors weights = oracle.weights(), statistics;
  const std::vector<at::Tensor> maps = oracle.maps();
  const DenseScores scores = pass(*head, weights, maps, statistics);
  EXPECT_LT(relative_difference(scores.main_BHWC, oracle.at("scores")), 1e-6);
  scores.main_BHWC.backward(oracle.at("cotangent"));
  expect_gradients(oracle, weights, maps);
  EXPECT_TRUE(statistics.empty());
  EXPECT_TRUE(head->is_of_one_picture());
}

void expect_statistics(const Oracle& oracle, const NamedTensors& weights,
                       const NamedTensors& distances) {
  size_t count = 0;
  for (const auto& [name, weight] : weights) {
    if (weight.requires_grad()) continue;
    const at::Tensor after = weight - 0.1 * distances.at(name);
    EXPECT_LT(relative_difference(after, oracle.at("after." + name)), 1e-5) << name;
    ++count;
  }
  EXPECT_EQ(count, distances.size());
  EXPECT_GT(count, 0U);
}

TEST(BnLinearDenseHead, MatchesBatchNormAndConvolution) {
  const Oracle oracle("bn_linear");
  const auto head = make_dense_head(head_config("bn_linear"), {2, 12, 6});
  NamedTensors weights = oracle.weights(), statistics;
  const std::vector<at::Tensor> maps = oracle.maps();
  EXPECT_LT(relative_difference(head->forward(weights, maps, nullptr).main_BHWC,
                                oracle.at("scores_eval")),
            1e-6);
  const DenseScores scores = pass(*head, weights, maps, statistics);
  EXPECT_LT(relative_difference(scores.main_BHWC, oracle.at("scores")), 1e-6);
  scores.main_BHWC.backward(oracle.at("cotangent"));
  expect_gradients(oracle, weights, maps);
  expect_statistics(oracle, weights, statistics);
}

TEST(UperNetDenseHead, MatchesTransformersBehindMmsegmentationsNeck) {
  const Oracle oracle("upernet");
  const auto head = make_dense_head(head_config("upernet"), {4, 12, 5});
  NamedTensors weights = oracle.weights(), statistics;
  const std::vector<at::Tensor> maps = oracle.maps();
  const DenseScores said = head->forward(weights, maps, nullptr);
  EXPECT_LT(relative_difference(said.main_BHWC, oracle.at("scores_eval")), 1e-5);
  EXPECT_FALSE(said.aux_BHWC.defined());
  const DenseScores scores = pass(*head, weights, maps, statistics);
  EXPECT_LT(relative_difference(scores.main_BHWC, oracle.at("scores")), 1e-5);
  EXPECT_LT(relative_difference(scores.aux_BHWC, oracle.at("aux_scores")), 1e-5);
  const at::Tensor sum = (scores.main_BHWC * oracle.at("cotangent")).sum() +
                         (scores.aux_BHWC * oracle.at("aux_cotangent")).sum();
  sum.backward();
  expect_gradients(oracle, weights, maps);
  expect_statistics(oracle, weights, statistics);
}

TEST(UperNetDenseHead, ListsEveryWeightThatItUses) {
  const Oracle oracle("upernet");
  DenseHeadConfig config = head_config("upernet");
  std::set<std::string> listed, wanted;
  for (const ParameterRow& row : make_dense_head(config, {4, 12, 5})->rows())
    listed.insert(row.local_name);
  for (const auto& [name, tensor] : oracle.weights()) wanted.insert(name);
  EXPECT_EQ(listed, wanted);
}

void expect_as_transformers_dpt(const std::string& group, const DenseHeadConfig& config,
                                const DenseShape& shape) {
  const Oracle oracle(group, "dpt");
  const auto head = make_dense_head(config, shape);
  std::set<std::string> listed, wanted;
  for (const ParameterRow& row : head->rows()) {
    listed.insert(row.local_name);
    EXPECT_EQ(oracle.at(row.local_name).numel(), oracle.at(row.local_name).view(row.shape).numel());
  }
  NamedTensors weights = oracle.weights(), statistics;
  for (const auto& [name, tensor] : weights) wanted.insert(name);
  EXPECT_EQ(listed, wanted);
  const std::vector<at::Tensor> maps = oracle.maps();
  const DenseScores scores = pass(*head, weights, maps, statistics);
  EXPECT_LT(relative_difference(scores.main_BHWC, oracle.at("scores")), 1e-5);
  scores.main_BHWC.backward(oracle.at("cotangent"));
  expect_gradients(oracle, weights, maps);
}

TEST(DptDenseHead, MatchesTransformersDptForDepthEstimation) {
  DenseHeadConfig config = head_config("dpt");
  config.readout = "project";
  config.projection = true;
  config.level_channels = "3,4,6,10";
  expect_as_transformers_dpt("dpt", config, {4, 24, 1, 14});
}

TEST(DptDenseHead, MatchesTransformersDepthAnything) {
  DenseHeadConfig config = head_config("dpt");
  config.sizes = "pixels";
  config.level_channels = "3,4,6,10";
  config.last_channels = 6;
  expect_as_transformers_dpt("depth_anything", config, {4, 12, 1, 7});
}

TEST(DptDenseHead, HasChannelsOfTheModelsWidthWhereNoneAreSaid) {
  DenseHeadConfig config;
  config.head = "dpt";
  EXPECT_EQ(config.level_widths(384), (std::vector<int64_t>{48, 96, 192, 384}));
  EXPECT_EQ(config.width(), 256);
  EXPECT_EQ(config.blocks(24), (std::vector<int64_t>{5, 11, 17, 23}));
  config.layers = "23";  // the paper's: the last layer four times
  EXPECT_EQ(config.blocks(24), (std::vector<int64_t>{23, 23, 23, 23}));
  config.level_channels = "48,96,x,384";
  EXPECT_EQ(test::error_of<UsageError>([&] { config.check(); }),
            "level_channels=48,96,x,384: want 4 numbers from 1 to 65536");
}

// What ranks see of a batch is what one process sees of all of it.
TEST(BatchNormOverRanks, EqualsOneProcess) {
  const Oracle oracle("bn_linear");
  const auto head = make_dense_head(head_config("bn_linear"), {2, 12, 6});
  const NamedTensors whole_weights = oracle.weights();
  NamedTensors whole_statistics;
  const std::vector<at::Tensor> whole_maps = oracle.maps();
  const DenseScores whole = pass(*head, whole_weights, whole_maps, whole_statistics);
  whole.main_BHWC.backward(oracle.at("cotangent"));
  run_as_threads(2, [&](const std::shared_ptr<Transport>& transport) {
    const Mesh mesh = make_mesh(transport, {2, 1}, /*deadline_s=*/60);
    const Share share = mesh.share(MeshAxis::kData, 2);
    const auto own = [&](const at::Tensor& all) {
      return all.detach().slice(0, share.first, share.first + share.count);
    };
    std::vector<at::Tensor> maps;
    for (const at::Tensor& map : whole_maps) maps.push_back(own(map).clone().requires_grad_());
    NamedTensors weights = oracle.weights(), statistics;
    const at::AutoGradMode is_recording(true);
    const DensePass training{mesh, 0, 0, at::arange(1), statistics};
    const DenseScores scores = head->forward(weights, maps, &training);
    scores.main_BHWC.backward(own(oracle.at("cotangent")));
    EXPECT_LT(relative_difference(scores.main_BHWC, own(whole.main_BHWC)), 1e-6);
    for (size_t i = 0; i < maps.size(); ++i)
      EXPECT_LT(relative_difference(maps[i].grad(), own(whole_maps[i].grad())), 1e-5);
    for (const auto& [name, weight] : weights) {
      if (!weight.requires_grad()) continue;
      at::Tensor sum = weight.grad().clone();
      mesh.sum_(sum, MeshAxis::kData);
      EXPECT_LT(relative_difference(sum, whole_weights.at(name).grad()), 1e-5) << name;
    }
    for (const auto& [name, distance] : statistics)
      EXPECT_LT(relative_difference(distance, whole_statistics.at(name)), 1e-5) << name;
  });
}

TEST(DenseDropout, IsKeyedByStepAndSampleAndKeepsTheMean) {
  DenseHeadConfig config = head_config("linear");
  config.dropout = 0.25;
  const int64_t width = 400;
  const auto head = make_dense_head(config, {1, width, width});
  const NamedTensors weights = {{"head.weight", at::eye(width)}, {"head.bias", at::zeros({width})}};
  NamedTensors none;
  const auto scores = [&](const at::Tensor& samples, int64_t step) {
    const DensePass training{single_process(), 5, step, samples, none};
    return head->forward(weights, {at::ones({samples.numel(), 2, 3, width})}, &training).main_BHWC;
  };
  const at::Tensor both = scores(at::tensor({7, 9}, at::kLong), 3);
  EXPECT_TRUE(both[1].equal(scores(at::tensor({9}, at::kLong), 3)[0]));
  EXPECT_FALSE(both[1].equal(scores(at::tensor({9}, at::kLong), 4)[0]));
  EXPECT_TRUE(both[0][0][0].equal(both[0][1][2]));  // whole channels
  // 100 +- 8.7 (one standard deviation) of 400 are dropped.
  EXPECT_NEAR(both[0][0][0].eq(0).sum().item<double>(), 100, 35);
  EXPECT_NEAR(both.max().item<double>(), 1 / 0.75, 1e-6);
}

class PixelLossOracle : public testing::TestWithParam<const char*> {};

TEST_P(PixelLossOracle, FastAndReferenceMatchInterpolatedCrossEntropyAndDice) {
  const Oracle oracle(GetParam());
  const at::Tensor labels = oracle.at("labels").to(at::kInt), &scores = oracle.at("scores");
  const at::Tensor& weights = oracle.at("class_weight");
  for (const auto& loss : {upsampled_cross_entropy, upsampled_cross_entropy_reference}) {
    const PixelLoss plain = loss(scores, labels, {}), weighted = loss(scores, labels, weights);
    EXPECT_LT(relative_difference(plain.loss, oracle.at("loss")), 2e-6);
    EXPECT_LT(relative_difference(plain.gradient_BHWC, oracle.at("d.scores")), 1e-5);
    EXPECT_LT(relative_difference(weighted.loss, oracle.at("weighted_loss")), 2e-6);
    EXPECT_LT(relative_difference(weighted.gradient_BHWC, oracle.at("d.weighted_scores")), 1e-5);
  }
  const PixelLoss dice = upsampled_dice(scores, labels);
  EXPECT_LT(relative_difference(dice.loss, oracle.at("dice_loss")), 2e-6);
  EXPECT_LT(relative_difference(dice.gradient_BHWC, oracle.at("d.dice_scores")), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Groups, PixelLossOracle, testing::Values("loss", "loss_ignored"));

TEST(PixelLoss, FastEqualsReferenceAtOddSizes) {
  at::manual_seed(2);
  struct Size {
    int64_t height, width, classes, rows, columns;
  };
  for (const Size& s : {Size{1, 1, 2, 5, 3}, Size{3, 7, 17, 40, 33}, Size{4, 4, 150, 4, 4},
                        Size{8, 5, 16, 6, 7}, Size{16, 16, 21, 224, 224}}) {
    const at::Tensor scores = at::randn({2, s.height, s.width, s.classes}) * 5;
    const at::Tensor labels = at::randint(-1, s.classes, {2, s.rows, s.columns}, at::kInt);
    const PixelLoss fast = upsampled_cross_entropy(scores, labels),
                    want = upsampled_cross_entropy_reference(scores, labels);
    EXPECT_LT(relative_difference(fast.loss, want.loss), 1e-5) << s.rows;
    EXPECT_LT(relative_difference(fast.gradient_BHWC, want.gradient_BHWC), 1e-5) << s.rows;
  }
}

TEST(InterpolatedClasses, AreTheLargestOfUpsampledScores) {
  at::manual_seed(4);
  for (const int64_t classes : {1, 2, 16, 21, 150}) {
    const at::Tensor scores = at::randn({5, 7, classes});
    const at::Tensor want = upsampled(scores.unsqueeze(0), 70, 90)[0].argmax(2).to(at::kInt);
    const PlaceScale down{5.0 / 70, 0}, across{7.0 / 90, 0};
    const at::Tensor fast = interpolated_classes(scores, down, 70, across, 90);
    EXPECT_TRUE(fast.equal(interpolated_classes_reference(scores, down, 70, across, 90)));
    // Within rounding two classes may be as large.
    EXPECT_LT(fast.ne(want).sum().item<int64_t>(), 3);
  }
  // A mirrored view: the first pixel is the last place's.
  const at::Tensor sides = at::tensor({1.F, 0.F, 0.F, 1.F}).view({1, 2, 2});
  EXPECT_TRUE(interpolated_classes(sides, {1, 0}, 1, {-1, 2}, 2)
                  .equal(at::tensor({1, 0}, at::kInt).view({1, 2})));
  EXPECT_TRUE(interpolated_classes(at::zeros({1, 1, 40}), {1, 0}, 1, {1, 0}, 1)
                  .equal(at::zeros({1, 1}, at::kInt)));
}

}  // namespace
}  // namespace vit22b
