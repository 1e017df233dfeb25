#include "train/trainer.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>

#include "checkpoint/run_checkpoint.h"
#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/small_run.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;

TrainConfig small_run(const fs::path& data, const std::vector<std::string>& overrides = {}) {
  std::vector<std::string> all = {
      "total_steps=20", "log_steps=5",
      "eval_steps=10",  "ckpt_steps=5",
      "warmup_steps=2", "data.pp_train=inception_crop(16,50)|flip_lr|value_range(-1,1)",
      "data.workers=2", "model.head_bias_init=-1.0"};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return test::small_run(data, all);
}

TrainSummary run(const TrainConfig& config, const fs::path& out) {
  return test::run_quietly(config, out);
}

/// Names of tensors that differ between two checkpoints, weights and optimizer state.
std::vector<std::string> differences(const fs::path& a, const fs::path& b) {
  const RunCheckpoint x = load_run_checkpoint(a), y = load_run_checkpoint(b);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : x.weights)
    if (!test::is_same(tensor, y.weights.at(name))) names.push_back(name);
  for (const auto& [name, tensor] : x.optimizer)
    if (!test::is_same(tensor, y.optimizer.at(name))) names.push_back(name);
  return names;
}

const std::vector<std::string> kNone;

TEST(Trainer, TwentyStepsEqualTenAndTenBitForBit) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  for (const std::string optimizer : {"adafactor", "adamw"}) {
    const std::string name = "optim.name=" + optimizer;
    // A schedule that does not depend on the total, so that the first ten steps are the same run.
    const std::vector<std::string> constant = {name, "schedule.name=constant", "warmup_steps=0"};
    auto with = [&](const std::string& total) {
      auto overrides = constant;
      overrides.push_back(total);
      return small_run(folder / "data", overrides);
    };
    run(with("total_steps=20"), folder / (optimizer + "-a"));
    run(with("total_steps=10"), folder / (optimizer + "-b"));
    run(with("total_steps=20"), folder / (optimizer + "-b"));
    EXPECT_EQ(differences(folder / (optimizer + "-a/ckpt/latest"),
                          folder / (optimizer + "-b/ckpt/latest")),
              kNone)
        << optimizer;
  }
}

TEST(Trainer, ARunFromBeforeAnOptionGoesOn) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  run(small_run(folder / "data", {"total_steps=5"}), folder / "run");
  const fs::path config = folder / "run/config.resolved.toml";
  std::string text = test::read_file(config);
  const size_t at = text.find("optim.polyak"), end = text.find('\n', at);
  ASSERT_NE(at, std::string::npos);
  test::write_file(config, text.erase(at, end - at + 1));
  EXPECT_EQ(run(small_run(folder / "data", {"total_steps=10"}), folder / "run").step, 10);
}

TEST(Trainer, SigtermSavesExits75AndGoesOnBitForBit) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  const TrainConfig config = small_run(
      folder / "data", {"total_steps=60", "ckpt_steps=1000", "eval_steps=1000", "log_steps=1"});
  run(config, folder / "whole");
  const pid_t child = fork();
  if (child == 0) {
    install_stop_signals();
    try {
      run(config, folder / "cut");
      _exit(0);
    } catch (const Stopped& e) {
      _exit(static_cast<int>(e.code()));
    } catch (...) {
      _exit(1);
    }
  }
  constexpr int kMaxTries = 10'000;  // 20 s: a child that fails early must not hang the test
  for (int i = 0; i < kMaxTries; ++i) {
    std::error_code error;
    if (fs::file_size(folder / "cut/metrics.jsonl", error) >= 1000 && !error) break;
    usleep(2000);
  }
  kill(child, SIGTERM);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_EQ(WEXITSTATUS(status), 75);
  const int64_t step = load_run_checkpoint(folder / "cut/ckpt/latest").state.step;
  EXPECT_LT(step, 60);
  run(config, folder / "cut");
  EXPECT_EQ(differences(folder / "whole/ckpt/latest", folder / "cut/ckpt/latest"), kNone);
}

TEST(Trainer, SigkillAtRandomMomentsGoesOnBitForBit) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  const TrainConfig config = small_run(folder / "data", {"total_steps=60", "ckpt_steps=2"});
  run(config, folder / "whole");
  int kills = 0;
  for (const int delay_ms : {120, 190, 260, 330}) {
    const pid_t child = fork();
    if (child == 0) {
      try {
        run(config, folder / "cut");
      } catch (...) {
        _exit(1);
      }
      _exit(0);
    }
    usleep(static_cast<useconds_t>(delay_ms) * 1000);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) ++kills;
    ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  }
  EXPECT_GT(kills, 0);
  run(config, folder / "cut");
  EXPECT_EQ(differences(folder / "whole/ckpt/latest", folder / "cut/ckpt/latest"), kNone);
  // Log lines beyond each resumed step were cut: every step is told once.
  std::set<std::string> lines;
  std::istringstream metrics(test::read_file(folder / "cut/metrics.jsonl"));
  int count = 0;
  for (std::string line; std::getline(metrics, line); ++count)
    lines.insert(line.substr(0, line.find(',', line.find("\"step\""))) +
                 (line.find("val/") != std::string::npos ? "v" : ""));
  EXPECT_EQ(static_cast<int>(lines.size()), count);
}

TEST(Trainer, BlockInputsThatWaitElsewhereChangeNothing) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  for (const std::vector<std::string>& choice : {std::vector<std::string>{"accumulate=2"},
                                                 {"update=now", "optim.clip=exact"},
                                                 {"precision=bf16"}}) {
    for (const std::string place : {"device", "host", "file"}) {
      std::vector<std::string> overrides = choice;
      overrides.insert(overrides.end(), {"activation=recompute", "block_inputs=" + place});
      run(small_run(folder / "data", overrides), folder / (choice[0] + place));
    }
    for (const std::string place : {"host", "file"})
      EXPECT_EQ(differences(folder / (choice[0] + "device") / "ckpt/latest",
                            folder / (choice[0] + place) / "ckpt/latest"),
                kNone)
          << choice[0] << " " << place;
  }
  EXPECT_EQ(
      error_of<UsageError>([&] { small_run(folder / "data", {"block_inputs=file"}); }),
      "block_inputs=file is of blocks that keep their inputs alone; use activation=recompute");
}

TEST(Trainer, LearnsAndItsLossFalls) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 200);
  run(small_run(folder / "data", {"total_steps=120", "optim.lr=3e-3", "eval_steps=120",
                                  "data.pp_train=value_range(-1,1)"}),
      folder / "run");
  const std::string metrics = test::read_file(folder / "run/metrics.jsonl");
  const size_t at = metrics.rfind("\"val/accuracy\":");
  ASSERT_NE(at, std::string::npos);
  EXPECT_GT(std::stod(metrics.substr(at + 15)), 0.9);  // chance is 0.25
}

TEST(Trainer, AccumulationAndRecomputationChangeOnlyRounding) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  const std::vector<std::string> sgd = {"optim.name=sgd", "optim.lr=0.05", "total_steps=10"};
  auto with = [&](const std::string& extra) {
    auto overrides = sgd;
    overrides.push_back(extra);
    return small_run(folder / "data", overrides);
  };
  run(with("accumulate=1"), folder / "a");
  run(with("accumulate=4"), folder / "b");
  run(with("activation=recompute"), folder / "c");
  const RunCheckpoint a = load_run_checkpoint(folder / "a/ckpt/latest"),
                      b = load_run_checkpoint(folder / "b/ckpt/latest");
  for (const auto& [name, weight] : a.weights)
    EXPECT_TRUE(at::allclose(weight, b.weights.at(name), 1e-4, 1e-5)) << name;
  EXPECT_EQ(differences(folder / "a/ckpt/latest", folder / "c/ckpt/latest"), kNone);
}

double last_value(const fs::path& run_folder, const std::string& key) {
  const std::string metrics = test::read_file(run_folder / "metrics.jsonl");
  const size_t at = metrics.rfind("\"" + key + "\":");
  return at == std::string::npos ? std::nan("") : std::stod(metrics.substr(at + key.size() + 3));
}

TEST(SlowTrainer, BothEnginesLearnTheDemoAlike) {
  const TempFolder folder;
  ConfigTree tree = read_config_file(fs::path(std::getenv("VIT22B_SOURCE_DIR")) /
                                     "configs/train/fashion_mnist.toml");
  for (const char* text : {"total_steps=200", "eval_steps=0", "ckpt_steps=200", "log_steps=200"})
    set_override(tree, text);
  const TrainConfig demo = train_config_from_tree(tree);
  std::map<std::string, double> loss;
  for (const char* engine : {"fused", "reference"}) {
    TrainConfig config = demo;
    config.engine = engine;
    run(config, folder / engine);
    loss[engine] = last_value(folder / engine, "training_loss");
  }
  EXPECT_LT(loss["fused"], 1.5);  // ten classes at the start: 3.25
  EXPECT_NEAR(loss["fused"], loss["reference"], 0.02);
}

TEST(Trainer, ANumberThatIsNotFiniteStopsWithADiagnosisAndTheCheckpointStays) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  run(small_run(folder / "data", {"total_steps=5"}), folder / "good");
  RunCheckpoint poisoned = load_run_checkpoint(folder / "good/ckpt/latest");
  poisoned.weights.at("blocks.1.in_proj.weight")[0][0] = NAN;
  FileOps ops;
  Manifest manifest;
  fs::create_directories(folder / "bad");
  write_model(ops, folder / "bad", poisoned.info, poisoned.weights, manifest);
  const std::string text = error_of<NumbersError>([&] {
    run(small_run(folder / "data", {"init_from=" + (folder / "bad").string()}), folder / "run");
  });
  EXPECT_NE(
      text.find(
          "step 1: the loss is not finite; it shows first in block 1 (blocks.1.in_proj.weight)"),
      std::string::npos)
      << text;
  const std::string diagnosis = test::read_file(folder / "run/diagnosis.json");
  EXPECT_NE(diagnosis.find("\"unit\": \"block 1\""), std::string::npos);
  EXPECT_NE(diagnosis.find("train-images-idx3-ubyte#"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder / "run/ckpt"));
  EXPECT_EQ(load_run_checkpoint(folder / "good/ckpt/latest").state.step, 5);
}

TEST(Trainer, ChangedConfigIsRefusedWithItsDifference) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  run(small_run(folder / "data", {"total_steps=5"}), folder / "run");
  const std::string text = error_of<UsageError>([&] {
    run(small_run(folder / "data", {"total_steps=5", "optim.lr=0.5"}), folder / "run");
  });
  EXPECT_NE(text.find("optim.lr: 0.001 -> 0.5"), std::string::npos) << text;
}

TEST(Trainer, AFinishedRunSaysSoAndALongerTotalGoesOn) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  run(small_run(folder / "data", {"total_steps=5"}), folder / "run");
  EXPECT_TRUE(
      run(small_run(folder / "data", {"total_steps=5"}), folder / "run").was_finished_before);
  EXPECT_EQ(run(small_run(folder / "data", {"total_steps=8"}), folder / "run").step, 8);
}

TEST(Trainer, NoResumeSetsTheEarlierRunAside) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  run(small_run(folder / "data", {"total_steps=5"}), folder / "run");
  FileOps ops;
  TrainOptions options;
  options.out = folder / "run";
  options.is_resuming = false;
  options.is_quiet = true;
  train(small_run(folder / "data", {"total_steps=5", "seed=1"}), options, ops);
  EXPECT_TRUE(fs::exists(folder / "run/previous-1/ckpt/latest/model.safetensors"));
  EXPECT_EQ(load_run_checkpoint(folder / "run/ckpt/latest").state.seed, 1u);
}

TEST(Trainer, FrozenParametersStay) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  run(small_run(folder / "data",
                {"total_steps=5", "freeze=[\"blocks.*\", \"patch_embed.*\", \"pos_embed\"]"}),
      folder / "run");
  run(small_run(folder / "data",
                {"total_steps=10", "freeze=[\"blocks.*\", \"patch_embed.*\", \"pos_embed\"]"}),
      folder / "longer");
  const RunCheckpoint a = load_run_checkpoint(folder / "run/ckpt/latest"),
                      b = load_run_checkpoint(folder / "longer/ckpt/latest");
  EXPECT_TRUE(test::is_same(a.weights.at("blocks.0.in_proj.weight"),
                            b.weights.at("blocks.0.in_proj.weight")));
  EXPECT_FALSE(test::is_same(a.weights.at("head.weight"), b.weights.at("head.weight")));
}

TEST(TrainConfig, NeedsALengthAndData) {
  EXPECT_NE(error_of<UsageError>([] { train_config_from_tree({}); }).find("total_steps"),
            std::string::npos);
  ConfigTree tree;
  set_override(tree, "total_steps=1");
  EXPECT_NE(
      error_of<UsageError>([&] { train_config_from_tree(tree); }).find("data.root is not set"),
      std::string::npos);
}

}  // namespace
}  // namespace vit22b
