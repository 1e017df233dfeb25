#include "train/task.h"

#include <gtest/gtest.h>

#include "checkpoint/run_checkpoint.h"
#include "core/error.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/mesh_run.h"
#include "support/small_run.h"
#include "train/run_folder.h"
#include "train/tasks/lit.h"

namespace vit22b {
namespace {

using test::TempFolder;

const Metric kError{"error", "m", Better::kSmaller};

/// A task of three validations whose errors are given, with an option of its own.
class Measured : public Task {
 public:
  explicit Measured(std::vector<double> errors) : errors_(std::move(errors)) {}

  TaskLoss loss(const TowerOutputs& outputs, const Batch&, const Mesh&) const override {
    const at::Tensor& logits = outputs.main.logits_BC;
    return {logits.square().mean(), {.logits_BC = 2 * logits / logits.numel()}};
  }
  std::vector<Metric> metrics() const override { return {kError}; }
  std::map<std::string, double> validate(const TowerPredictors&, const DataSource&,
                                         const Transforms&, const Validation&) const override {
    return {{"error", errors_.at(num_validations_++)}};
  }

 private:
  std::vector<double> errors_;
  mutable size_t num_validations_ = 0;
};

class MeasuredOptions : public TaskOptions {
 public:
  explicit MeasuredOptions(std::vector<double> errors) : errors_(std::move(errors)) {}

  const char* name() const override { return "measured"; }
  std::unique_ptr<TaskOptions> copy() const override {
    return std::make_unique<MeasuredOptions>(*this);
  }
  std::unique_ptr<Task> make() const override { return std::make_unique<Measured>(errors_); }
  void fields(FieldVisitor& v) override { v.field("scale", scale_, "of the errors"); }
  void check(const TrainConfig&) const override {
    if (scale_ <= 0) throw UsageError("measured.scale is ", scale_, ", want more than 0");
  }

 private:
  std::vector<double> errors_;
  double scale_ = 1;
};

/// A run that is validated at steps 2, 4 and 6, and saved there.
class TaskOfItsOwn : public testing::Test {
 protected:
  TaskOfItsOwn() { test::write_idx(folder_ / "data", "train", 90); }

  TrainConfig config(const std::vector<double>& errors) const {
    TrainConfig config = test::small_run(
        folder_ / "data", {"total_steps=6", "eval_steps=2", "ckpt_steps=2", "keep_ckpt_steps=2",
                           "log_steps=2", "optim.name=sgd", "schedule.name=constant"});
    config.tasks.add(std::make_unique<MeasuredOptions>(errors));
    config.task = "measured";
    return config;
  }
  std::filesystem::path run(const std::vector<double>& errors) const {
    test::run_quietly(config(errors), folder_ / "run");
    return folder_ / "run";
  }
  TempFolder folder_;
};

TEST_F(TaskOfItsOwn, WithSmallerIsBetterHasTheSmallestAsBest) {
  const auto out = run({3, 1, 2});
  EXPECT_EQ(std::filesystem::read_symlink(out / "ckpt/best"), step_folder_name(4));
  const TrainerState state = *saved_state(out / "ckpt/latest");
  EXPECT_EQ(state.best_step, 4);
  EXPECT_EQ(state.best_metric, 1);
}

TEST_F(TaskOfItsOwn, TakesNoBestFromWhatIsNotANumber) {
  const auto out = run({std::nan(""), 5, std::nan("")});
  EXPECT_EQ(saved_state(out / "ckpt/latest")->best_step, 4);
}

TEST_F(TaskOfItsOwn, FindsTheBestAmongWhatIsLeftByTheRowsOfItsMetric) {
  const auto out = run({1, 2, 3});
  std::filesystem::remove_all(out / "ckpt" / step_folder_name(2));
  FileOps ops(ExitCode::kCheckpoint);
  RunFolder folder(ops, out);
  const BestSave best = folder.go_on_from(*saved_state(out / "ckpt/latest"), /*is_own=*/true,
                                          /*is_going_back=*/false, kError);
  EXPECT_EQ(best.step, 4);
  EXPECT_EQ(best.metric, 2);
}

TEST_F(TaskOfItsOwn, HasASectionOfTheConfigAndItsChecks) {
  TrainConfig own = config({});
  EXPECT_NE(to_toml(own).find("measured.scale = 1.0"), std::string::npos) << to_toml(own);
  ConfigTree tree;
  set_override(tree, "measured.scale=-2.0");
  apply_config(tree, [&](FieldVisitor& v) { own.fields(v); });
  const TrainConfig copy = own;
  EXPECT_EQ(test::error_of<UsageError>([&] { check_choices(copy); }),
            "measured.scale is -2, want more than 0");
}

/// A task that learns a number of its own, 3, whatever its images are: its loss reaches no tower.
class Guess : public Task {
 public:
  TaskLoss loss(const TowerOutputs& outputs, const Batch&, const Mesh&) const override {
    const at::Tensor gap = outputs.own.at("guess") - 3;
    return {.loss = gap.square().sum(), .own_gradients = {{"guess", 2 * gap}}};
  }
  std::vector<Metric> metrics() const override { return {kError}; }
  std::map<std::string, double> validate(const TowerPredictors& towers, const DataSource&,
                                         const Transforms&, const Validation&) const override {
    return {{"error", std::abs(towers.own.at("guess").item<double>() - 3)}};
  }
};

class GuessOptions : public TaskOptions {
 public:
  const char* name() const override { return "guess"; }
  std::unique_ptr<TaskOptions> copy() const override { return std::make_unique<GuessOptions>(); }
  std::unique_ptr<Task> make() const override { return std::make_unique<Guess>(); }
  std::vector<ParameterRow> rows(const TrainConfig&) const override {
    return {{.name = "task.guess",
             .local_name = "guess",
             .shape = {1},
             .initialiser = {Initialiser::Kind::kConstant, 1},
             .group = ParameterGroup::kScale,
             .unit = {UnitKind::kTask}}};
  }
};

class RowsOfATask : public TaskOfItsOwn {
 protected:
  TrainConfig guess(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {
        "total_steps=6",          "eval_steps=2",          "ckpt_steps=2", "keep_ckpt_steps=2",
        "optim.name=sgd",         "optim.momentum=0.0",    "optim.lr=0.1", "optim.clip_norm=0.0",
        "optim.weight_decay=0.0", "schedule.name=constant"};
    all.insert(all.end(), more.begin(), more.end());
    TrainConfig config = test::small_run(folder_ / "data", all);
    config.tasks.add(std::make_unique<GuessOptions>());
    config.task = "guess";
    return config;
  }
  static double learnt(const std::filesystem::path& checkpoint) {
    return SavedRun(checkpoint, single_process())
        .weight(GuessOptions().rows({}).front())
        .item<double>();
  }
  // Each step leaves 1 - 2 * 0.1 of the gap.
  static double after(int64_t steps) { return 3 - 2 * std::pow(0.8, steps); }
};

TEST_F(RowsOfATask, TrainAreSavedAndAreValidated) {
  for (const char* update : {"update=deferred", "update=now"}) {
    const auto out = folder_ / update;
    test::run_quietly(guess({update}), out);
    EXPECT_NEAR(learnt(out / "ckpt" / step_folder_name(2)), after(2), 1e-6) << update;
    EXPECT_NEAR(learnt(out / "ckpt/latest"), after(6), 1e-6) << update;
    const TrainerState state = *saved_state(out / "ckpt/latest");
    EXPECT_EQ(state.best_step, 6) << update;
    EXPECT_NEAR(state.best_metric, 3 - after(6), 1e-6) << update;
  }
}

TEST_F(RowsOfATask, LeaveTheModelsFileWithoutThemAndTheModelAsItWas) {
  test::run_quietly(guess(), folder_ / "run");
  const auto of_step = [&](int64_t step) {
    return load_run_checkpoint(folder_ / "run/ckpt" / step_folder_name(step)).weights;
  };
  const NamedTensors first = of_step(2), last = of_step(6);
  EXPECT_EQ(first.count("task.guess"), 0);
  for (const auto& [name, tensor] : first) EXPECT_TRUE(at::equal(tensor, last.at(name))) << name;
}

TEST_F(RowsOfATask, GoOnFromACheckpoint) {
  test::run_quietly(guess(), folder_ / "run");
  FileOps ops(ExitCode::kCheckpoint);
  TrainOptions options;
  options.out = folder_ / "other";
  options.resume = (folder_ / "run/ckpt" / step_folder_name(2)).string();
  options.is_quiet = true;
  train(guess({"total_steps=3"}), options, ops);
  EXPECT_NEAR(learnt(folder_ / "other/ckpt/latest"), after(3), 1e-6);
}

TEST_F(RowsOfATask, DoNotTrainWhereTheyAreFrozen) {
  test::run_quietly(guess({"freeze=[\"task.*\"]"}), folder_ / "run");
  EXPECT_EQ(learnt(folder_ / "run/ckpt/latest"), 1);
}

TEST_F(RowsOfATask, AreTheSameOnRanks) {
  for (const char* store : {"store=resident", "store=sharded"}) {
    const auto out = folder_ / store;
    test::train_on({2, 1}, guess({store}), out);
    EXPECT_NEAR(learnt(out / "ckpt/latest"), after(6), 1e-6) << store;
  }
}

TEST(TaskSections, OfACopyAreItsOwn) {
  TrainConfig config;
  TrainConfig copy = config;
  copy.tasks.of<LitConfig>().cache = "elsewhere";
  EXPECT_EQ(config.tasks.of<LitConfig>().cache, "");
  EXPECT_EQ(test::error_of<UsageError>([&] { config.tasks.at("paint"); }),
            "task is 'paint', want one of classify, distill, lit, segment, depth");
}

}  // namespace
}  // namespace vit22b
