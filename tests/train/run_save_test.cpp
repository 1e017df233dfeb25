#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/run_checkpoint.h"
#include "core/error.h"
#include "data/loader.h"
#include "support/pictures.h"
#include "support/small_run.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;

/// Pictures of four colours below TRAIN and VAL, a class each, and runs on them.
class RunSave : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 32; ++i) test::write_png(picture("train", i), i % 4, i);
    for (int i = 0; i < 8; ++i) test::write_png(picture("val", i), i % 4, 100 + i);
  }

  fs::path picture(const std::string& split, int i) const {
    return folder_ / concat("data/", split, "/colour", i % 4, "/", i, ".png");
  }

  TrainConfig config(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {
        "data.source=folder",     "model.in_chans=3",
        "data.val=val",           "log_steps=1",
        "total_steps=6",          "data.pp_eval=decode|rgb|value_range(-1,1)",
        "schedule.name=constant", "data.pp_train=decode|rgb|value_range(-1,1)"};
    all.insert(all.end(), more.begin(), more.end());
    return test::small_run(folder_ / "data", all);
  }

  TrainSummary run(const std::vector<std::string>& more) const {
    return test::run_quietly(config(more), folder_ / "run");
  }

  TrainerState latest() const { return saved_state(folder_ / "run/ckpt/latest").value(); }

  /// The rows of metrics.jsonl that have a key.
  std::vector<nlohmann::json> rows(const std::string& key) const {
    std::vector<nlohmann::json> found;
    for (const std::string& line : split(test::read_file(folder_ / "run/metrics.jsonl"), '\n'))
      if (const auto row = nlohmann::json::parse(line, nullptr, false); row.contains(key))
        found.push_back(row);
    return found;
  }

  TempFolder folder_;
};

TEST_F(RunSave, ABadValidationImageIsCountedAndNamedAndTheRunGoesOn) {
  test::write_file(picture("val", 3), "no picture");
  EXPECT_EQ(run({"eval_steps=3", "ckpt_steps=3"}).step, 6);
  const auto validations = rows("val/accuracy");
  ASSERT_EQ(validations.size(), 2u);
  EXPECT_EQ(validations[0].at("val/bad_samples"), 1);
  const std::string bad = test::read_file(folder_ / "run/bad_samples.txt");
  EXPECT_TRUE(bad.starts_with(picture("val", 3).string() + "\t")) << bad;
  EXPECT_EQ(std::count(bad.begin(), bad.end(), '\n'), 1);
}

TEST_F(RunSave, AValidationThatFailsCostsNoStepAndIsDoneWhenTheDataIsMended) {
  for (int i = 0; i < 8; ++i) test::write_file(picture("val", i), "no picture");
  const auto go = [&] { run({"eval_steps=4", "ckpt_steps=1000"}); };
  EXPECT_NE(error_of<DataError>(go).find("no sample could be read"), std::string::npos);
  EXPECT_EQ(latest().step, 4);
  EXPECT_TRUE(latest().is_eval_pending);
  for (int i = 0; i < 8; ++i) test::write_png(picture("val", i), i % 4, 100 + i);
  go();
  EXPECT_EQ(latest().step, 6);
  EXPECT_FALSE(latest().is_eval_pending);
  std::vector<int> steps;
  for (const auto& row : rows("val/accuracy")) steps.push_back(row.at("step"));
  EXPECT_EQ(steps, (std::vector<int>{4, 6}));
}

TEST_F(RunSave, TrainingDataThatEndsARunCostsNoStep) {
  // The last of the second epoch: not among what is read ahead when that begins.
  const auto bad = static_cast<size_t>(sample_at(63, 32, 0));
  std::vector<fs::path> files;
  for (int colour = 0; colour < 4; ++colour)
    for (int i = colour; i < 32; i += 4) files.push_back(picture("train", i));
  std::sort(files.begin(), files.end());
  run({"total_steps=4", "ckpt_steps=0", "eval_steps=0"});
  ASSERT_EQ(latest().step, 4);
  test::write_file(files[bad], "no picture");
  EXPECT_NE(error_of<DataError>([&] {
              run({"total_steps=40", "ckpt_steps=0", "eval_steps=0", "data.max_bad_fraction=0"});
            }),
            "(nothing thrown)");
  EXPECT_GE(latest().step, 5);
  EXPECT_EQ(latest().step, rows("training_loss").back().at("step"));
}

TEST_F(RunSave, TheEndIsSavedWhateverTheCadence) {
  const TrainSummary summary = run({"ckpt_steps=0", "eval_steps=0"});
  EXPECT_EQ(summary.step, 6);
  EXPECT_EQ(summary.checkpoint.filename(), "step-00000006");
  EXPECT_EQ(latest().step, 6);
}

TEST_F(RunSave, AStateSaysWhatTheValidationAfterItFound) {
  run({"eval_steps=6", "ckpt_steps=6"});
  EXPECT_FALSE(latest().is_eval_pending);
  EXPECT_EQ(latest().best_step, 6);
  EXPECT_EQ(latest().best_metric, rows("val/accuracy").back().at("val/accuracy"));
  EXPECT_EQ(latest().metrics_bytes,
            static_cast<int64_t>(fs::file_size(folder_ / "run/metrics.jsonl")));
  EXPECT_EQ(fs::read_symlink(folder_ / "run/ckpt/best"), "step-00000006");
}

TEST_F(RunSave, BestIsRightAfterGoingBackToAnEarlierStep) {
  const std::vector<std::string> cadences = {"eval_steps=2", "ckpt_steps=2", "keep_last=3",
                                             "keep_ckpt_steps=8"};
  const auto with = [&](const std::string& total) {
    std::vector<std::string> all = cadences;
    all.push_back(total);
    return all;
  };
  run(with("total_steps=20"));
  FileOps ops(ExitCode::kCheckpoint);
  TrainOptions options;
  options.out = folder_ / "run";
  options.resume = (folder_ / "run/ckpt/step-00000008").string();
  options.is_quiet = true;
  EXPECT_EQ(train(config(with("total_steps=14")), options, ops).step, 14);

  const CheckpointFolder checkpoints(ops, folder_ / "run/ckpt");
  const fs::path best = fs::read_symlink(folder_ / "run/ckpt/best");
  EXPECT_EQ(best, step_folder_name(latest().best_step));
  EXPECT_TRUE(fs::exists(folder_ / "run/ckpt" / best / "manifest.json"));
  double of_best = -1, highest = -1;
  for (const auto& row : rows("val/accuracy")) {
    const auto steps = checkpoints.steps();
    const auto step = row.at("step").get<int64_t>();
    EXPECT_LE(step, 14);
    if (step == latest().best_step) of_best = row.at("val/accuracy");
    if (std::find(steps.begin(), steps.end(), step) != steps.end())
      highest = std::max(highest, row.at("val/accuracy").get<double>());
  }
  EXPECT_EQ(of_best, latest().best_metric);
  EXPECT_EQ(of_best, highest);
  // The way that was left is kept, and is not what is newest.
  EXPECT_TRUE(fs::exists(folder_ / "run/previous-1/ckpt/step-00000020/manifest.json"));
  for (const int64_t step : {10, 12, 14})
    EXPECT_TRUE(fs::exists(folder_ / "run/ckpt" / step_folder_name(step))) << step;
  EXPECT_EQ(checkpoints.steps().back(), 14);
}

}  // namespace
}  // namespace vit22b
