#include <gtest/gtest.h>

#include "checkpoint/run_checkpoint.h"
#include "core/error.h"
#include "support/datasets.h"
#include "support/small_run.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;

/// Small runs on generated data.
class RunSetup : public testing::Test {
 protected:
  void SetUp() override { test::write_idx(folder_ / "data", "train", 90); }

  TrainSummary run(const std::string& out, const std::vector<std::string>& more) const {
    std::vector<std::string> all = {"schedule.name=constant", "total_steps=4", "eval_steps=0",
                                    "data.pp_train=value_range(-1,1)"};
    all.insert(all.end(), more.begin(), more.end());
    return test::run_quietly(test::small_run(folder_ / "data", all), folder_ / out);
  }

  std::string init_from(const std::string& name) const {
    return "init_from=" + (folder_ / name).string();
  }

  bool are_equal(const std::string& a, const std::string& b) const {
    const RunCheckpoint x = load_run_checkpoint(folder_ / a / "ckpt/latest"),
                        y = load_run_checkpoint(folder_ / b / "ckpt/latest");
    for (const auto& [name, tensor] : x.weights)
      if (!test::is_same(tensor, y.weights.at(name))) return false;
    for (const auto& [name, tensor] : x.optimizer)
      if (!test::is_same(tensor, y.optimizer.at(name))) return false;
    return x.state.step == y.state.step;
  }

  TempFolder folder_;
};

TEST_F(RunSetup, ARunGoesOnWithoutTheCheckpointThatItStartedFrom) {
  run("source", {"seed=3"});
  run("whole", {init_from("source"), "total_steps=8"});
  run("cut", {init_from("source")});
  fs::rename(folder_ / "source", folder_ / "moved");
  EXPECT_EQ(run("cut", {init_from("source"), "total_steps=6"}).step, 6);
  EXPECT_EQ(run("cut", {init_from("moved"), "total_steps=8"}).step, 8);
  EXPECT_TRUE(are_equal("whole", "cut"));
}

TEST_F(RunSetup, AnotherStartIsAnotherConfig) {
  run("source", {"seed=3"});
  run("other", {"seed=4"});
  run("run", {init_from("source")});
  const std::string text = error_of<UsageError>([&] {
    run("run", {init_from("other"), "total_steps=8"});
  });
  EXPECT_NE(text.find("init_from: "), std::string::npos) << text;
}

TEST_F(RunSetup, HowARunComputesMayChangeAtResume) {
  run("whole", {"total_steps=8"});
  run("cut", {});
  EXPECT_EQ(run("cut", {"activation=recompute", "block_inputs=file", "total_steps=8"}).step, 8);
  EXPECT_TRUE(are_equal("whole", "cut"));
  EXPECT_EQ(run("cut", {"accumulate=2", "total_steps=10"}).step, 10);
  EXPECT_NE(test::read_file(folder_ / "cut/log.txt")
                .find("resuming with accumulate 2, the checkpoint had 1: equal within rounding, "
                      "not bitwise"),
            std::string::npos);
}

TEST_F(RunSetup, AFirstStartThatFailedBlocksNothing) {
  run("source", {"seed=3"});
  const auto bad = [&] { run("run", {init_from("source"), "optim.lr=0.5", "model.num_heads=8"}); };
  EXPECT_NE(error_of<CheckpointError>(bad), "(nothing thrown)");
  EXPECT_EQ(run("run", {init_from("source")}).step, 4);
  // A start that died after it had written its config, and before any step, is no run either.
  fs::remove_all(folder_ / "run/ckpt");
  fs::remove(folder_ / "run/metrics.jsonl");
  EXPECT_EQ(run("run", {init_from("source"), "optim.lr=0.002"}).step, 4);
}

TEST_F(RunSetup, PlacesAreWholePathsInARunsConfig) {
  const fs::path here = fs::current_path();
  run("source", {"seed=3"});
  fs::current_path(folder_.path());
  run("run", {"data.root=data", "init_from=source"});
  EXPECT_EQ(run("run", {init_from("source"), "total_steps=6"}).step, 6);
  fs::current_path(here);
  const std::string config = test::read_file(folder_ / "run/config.resolved.toml");
  EXPECT_NE(config.find("data.root = \"" + (folder_ / "data").string() + "\""), std::string::npos);
  EXPECT_NE(config.find("init_from = \"" + (folder_ / "source").string() + "\""),
            std::string::npos);
}

TEST_F(RunSetup, NothingIsDoneAndNothingChangesWhereTheRunIsBeyondTheTotal) {
  run("run", {"total_steps=8"});
  const std::string config = test::read_file(folder_ / "run/config.resolved.toml");
  const TrainSummary summary = run("run", {"total_steps=5"});
  EXPECT_TRUE(summary.was_finished_before);
  EXPECT_EQ(summary.step, 8);
  EXPECT_EQ(test::read_file(folder_ / "run/config.resolved.toml"), config);
}

TEST_F(RunSetup, ALinkThatLeadsNowhereIsNoRunFolder) {
  fs::create_symlink(folder_ / "nowhere", folder_ / "link");
  EXPECT_EQ(error_of<UserError>([&] { run("link", {}); }),
            (folder_ / "link").string() + " is a link to " + (folder_ / "nowhere").string() +
                ", which is not there; make that folder, or remove the link");
}

}  // namespace
}  // namespace vit22b
