#include <gtest/gtest.h>

#include "checkpoint/convert.h"
#include "checkpoint/init_difference.h"
#include "checkpoint/run_checkpoint.h"
#include "core/error.h"
#include "eval/load_predictor.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/mesh_run.h"
#include "support/small_run.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::relative_difference;
using test::TempFolder;

/// Runs of models with a heteroscedastic head and an ensemble's last block, beside plain ones.
class Plex : public testing::Test {
 protected:
  Plex() { test::write_idx(folder_ / "data", "train", 90); }

  TrainConfig plain(std::vector<std::string> overrides = {}) const {
    overrides.insert(overrides.begin(), "loss=softmax");
    return test::eight_steps(folder_ / "data", overrides);
  }
  TrainConfig plex(std::vector<std::string> overrides = {}) const {
    const std::vector<std::string> all = {"model.head=heteroscedastic", "model.head_factors=2",
                                          "model.head_samples=20", "model.batch_ensemble_blocks=1"};
    overrides.insert(overrides.begin(), all.begin(), all.end());
    return plain(overrides);
  }
  std::string train(const std::string& name, const TrainConfig& config) const {
    test::run_quietly(config, folder_ / name);
    return folder_ / name;
  }
  NamedTensors weights(const std::string& run) const {
    return load_run_checkpoint(fs::path(run) / "ckpt/latest").weights;
  }
  void expect_close(const std::string& a, const std::string& b, double tolerance) const {
    const NamedTensors want = weights(a), got = weights(b);
    for (const auto& [name, tensor] : want)
      // The gradient of keys' biases is rounding, which adamw makes as large as any.
      if (name != "attn_pool.kv.bias")
        EXPECT_LT(relative_difference(got.at(name), tensor), tolerance) << name;
  }

  TempFolder folder_;
};

TEST_F(Plex, TrainsAndIsReadBack) {
  const std::string run = train("run", plex());
  const ViTConfig config = read_model_info(resolve_checkpoint(run)).config;
  EXPECT_TRUE(config.plex.is_heteroscedastic());
  EXPECT_EQ(config.plex.head_samples, 20);
  EXPECT_EQ(config.plex.batch_ensemble_blocks, 1);
  const NamedTensors first = weights(train("first", plex({"total_steps=1", "optim.lr=1e-30"})));
  for (const auto& [name, tensor] : weights(run))
    EXPECT_FALSE(test::is_same(tensor, first.at(name))) << name;
  const LoadedModel model = load_predictor(run, {});
  at::manual_seed(5);
  const at::Tensor images = at::randn({5, 1, 16, 16});
  const at::Tensor logits = model.predictor->logits(images);
  EXPECT_EQ(logits.size(0), 5);
  EXPECT_LT((logits.exp().sum(1) - 1).abs().max().item<double>(), 1e-4);  // log probabilities
  EXPECT_TRUE(test::is_same(model.predictor->logits(images), logits));
  EXPECT_EQ(model.predictor->input_gradient(images, at::ones_like(logits)).sizes(), images.sizes());
  EXPECT_EQ(model.predictor->attention(images, 1).size(0), 5);
  EXPECT_NE(error_of<UsageError>([&] { model.predictor->pool_attention(images); }).find("members"),
            std::string::npos);
}

TEST_F(Plex, GoesOnBitForBit) {
  const std::string whole = train("whole", plex());
  train("cut", plex({"total_steps=4"}));
  const std::string cut = train("cut", plex());
  for (const char* file : {"model.safetensors", "optimizer.safetensors"})
    EXPECT_EQ(test::read_file(fs::path(whole) / "ckpt/latest" / file),
              test::read_file(fs::path(cut) / "ckpt/latest" / file))
        << file;
}

TEST_F(Plex, PiecesRanksEnginesAndRecomputationTrainTheSame) {
  const std::string run = train("run", plex());
  // Sums in another order, through eight steps of adamw.
  expect_close(run, train("reference", plex({"engine=reference"})), 1e-3);
  expect_close(run, train("recompute", plex({"activation=recompute"})), 1e-3);
  expect_close(run, train("pieces", plex({"accumulate=2"})), 1e-3);
  for (const char* store : {"resident", "sharded"}) {
    test::train_on({2, 1}, plex({concat("store=", store)}), folder_ / store);
    expect_close(run, folder_ / store, 1e-3);
  }
}

TEST_F(Plex, StartsFromAPlainModelThatIsNamed) {
  const std::string base = train("base", plain());
  const auto started = [&](const std::string& allow) {
    return plex({"init_from=" + base, "init_allow=" + allow, "total_steps=1", "optim.lr=1e-30"});
  };
  const std::string error =
      error_of<CheckpointError>([&] { train("refused", started("act_layer")); });
  EXPECT_NE(error.find("init_allow=head,batch_ensemble_blocks"), std::string::npos) << error;
  const NamedTensors want = weights(base),
                     got = weights(train("run", started("head,batch_ensemble_blocks")));
  for (const auto& [name, tensor] : want) EXPECT_TRUE(test::is_same(got.at(name), tensor)) << name;
  EXPECT_EQ(got.count("blocks.1.mlp_in_proj.fast_in"), 1);
  EXPECT_EQ(got.count("head.factors.weight"), 1);
}

TEST_F(Plex, RefusesWhatItDoesNotGoWith) {
  const auto refusal = [&](const std::vector<std::string>& overrides) {
    return error_of<UsageError>([&] { train("refused", plex(overrides)); });
  };
  EXPECT_NE(refusal({"loss=sigmoid"}).find("use loss=softmax or model.head_link=sigmoid"),
            std::string::npos);
  EXPECT_NE(refusal({"model.batch_ensemble_blocks=3"}).find("want 0 to 2"), std::string::npos);
  EXPECT_NE(refusal({"model.head_samples=0"}).find("model.head_samples is 0"), std::string::npos);
  EXPECT_NE(refusal({"task=distill"}).find("is of task=classify"), std::string::npos);
  const auto on_two = [&](const TrainConfig& config) {
    return error_of<UsageError>([&] { test::train_on({1, 2}, config, folder_ / "two"); });
  };
  EXPECT_NE(on_two(plex()).find("batch_ensemble_blocks is of models that no model axis cuts"),
            std::string::npos);
  EXPECT_NE(
      on_two(plex({"model.batch_ensemble_blocks=0"})).find("head=heteroscedastic is of heads"),
      std::string::npos);
}

TEST_F(Plex, TrainsWithTheSigmoidLoss) {
  const std::string run = train("run", plex({"loss=sigmoid", "model.head_link=sigmoid"}));
  const LoadedModel model = load_predictor(run, {});
  EXPECT_TRUE(at::isfinite(model.predictor->logits(at::zeros({2, 1, 16, 16}))).all().item<bool>());
}

TEST_F(Plex, IsNoModelOfTimms) {
  const std::string run = train("run", plex());
  FileOps ops(ExitCode::kCheckpoint);
  const std::string error = error_of<UsageError>([&] {
    convert_checkpoint(ops, resolve_checkpoint(run), folder_ / "timm", {.format = "timm"});
  });
  EXPECT_NE(error.find("no architecture of timm's computes"), std::string::npos) << error;
  EXPECT_EQ(test::read_file(fs::path(run) / "ckpt/latest/config.json").find("\"architecture\""),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
