#include <gtest/gtest.h>

#include "checkpoint/run_checkpoint.h"
#include "core/error.h"
#include "core/log.h"
#include "eval/load_predictor.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/small_run.h"
#include "support/tensors.h"
#include "train/task.h"
#include "train/tasks/distill.h"
#include "train/trainer.h"
#include "train/transform_setup.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::relative_difference;
using test::TempFolder;

TrainConfig plain_run(const fs::path& data, const std::vector<std::string>& overrides = {}) {
  std::vector<std::string> all = {
      "total_steps=6",          "log_steps=2",       "eval_steps=0",
      "ckpt_steps=1",           "keep_ckpt_steps=1", "data.pp_train=value_range(-1,1)",
      "schedule.name=constant", "optim.name=sgd",    "optim.lr=0.05"};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return test::small_run(data, all);
}

TrainSummary train_once(const TrainConfig& config, const fs::path& out) {
  return test::run_quietly(config, out);
}

/// A generated data set, and a folder for runs.
class TransferTraining : public testing::Test {
 protected:
  TransferTraining() { test::write_idx(folder_ / "data", "train", 90); }
  fs::path data() const { return folder_ / "data"; }
  TempFolder folder_;
};

TEST_F(TransferTraining, PolyakAveragesAreTheWeightedMeanOfTheStepsWeights) {
  constexpr double kDecay = 0.7;
  train_once(plain_run(data()), folder_ / "plain");
  train_once(plain_run(data(), {"optim.polyak=0.7"}), folder_ / "mean");
  at::Tensor sum, weights = at::zeros({}, at::kDouble);
  for (int64_t step = 1; step <= 6; ++step) {
    const at::Tensor w = load_run_checkpoint(folder_ / "plain/ckpt" / step_folder_name(step))
                             .weights.at("blocks.0.in_proj.weight")
                             .to(at::kDouble);
    sum = sum.defined() ? kDecay * sum + w : w;
    weights = kDecay * weights + 1;
  }
  const RunCheckpoint mean = load_run_checkpoint(folder_ / "mean/ckpt/latest");
  // The running sum is float32.
  EXPECT_LT(relative_difference(mean.weights.at("blocks.0.in_proj.weight"), sum / weights), 1e-6);
  const RunCheckpoint plain = load_run_checkpoint(folder_ / "plain/ckpt/latest");
  EXPECT_TRUE(test::is_same(mean.optimizer.at("raw/blocks.0.in_proj.weight"),
                            plain.weights.at("blocks.0.in_proj.weight")));
}

TEST_F(TransferTraining, PolyakRunsGoOnBitForBit) {
  const auto config = [&](const char* total) {
    return plain_run(data(), {"optim.polyak=0.9", total});
  };
  train_once(config("total_steps=6"), folder_ / "whole");
  train_once(config("total_steps=3"), folder_ / "cut");
  train_once(config("total_steps=6"), folder_ / "cut");
  const RunCheckpoint a = load_run_checkpoint(folder_ / "whole/ckpt/latest"),
                      b = load_run_checkpoint(folder_ / "cut/ckpt/latest");
  for (const auto& [name, tensor] : a.weights)
    EXPECT_TRUE(test::is_same(tensor, b.weights.at(name))) << name;
  for (const auto& [name, tensor] : a.optimizer)
    EXPECT_TRUE(test::is_same(tensor, b.optimizer.at(name))) << name;
}

TEST_F(TransferTraining, LayerDecayScalesEachUnitsFirstStep) {
  const auto config = [&](const char* decay) {
    return plain_run(data(), {"total_steps=1", "optim.clip_norm=0", "optim.weight_decay=0",
                              "optim.head_weight_decay=0", decay});
  };
  const std::string start = (folder_ / "start/ckpt/latest").string();
  train_once(plain_run(data()), folder_ / "start");  // a head of zeros gives the blocks no gradient
  auto from = [&](const char* decay, const char* out) {
    TrainConfig c = config(decay);
    c.init_from = start;
    train_once(c, folder_ / out);
    return load_run_checkpoint(folder_ / out / "ckpt/latest").weights;
  };
  const NamedTensors whole = from("optim.layer_decay=1", "a"),
                     half = from("optim.layer_decay=0.5", "b"),
                     before = load_run_checkpoint(start).weights;
  for (const auto& [name, factor] : std::map<std::string, double>{{"pos_embed", 0.125},
                                                                  {"blocks.0.in_proj.weight", 0.25},
                                                                  {"blocks.1.in_proj.weight", 0.5},
                                                                  {"head.weight", 1}})
    // Differences of float32 weights keep some four digits.
    EXPECT_LT(relative_difference(half.at(name) - before.at(name),
                                  factor * (whole.at(name) - before.at(name))),
              1e-3)
        << name;
}

// Where the student sees plain images, what teachers said of them once is what they say each time.
TEST_F(TransferTraining, CachedTeachersTeachWhatLiveOnesDo) {
  for (const char* seed : {"1", "2"})
    train_once(plain_run(data(), {std::string("seed=") + seed, "optim.lr=0.5",
                                  "data.pp_eval=value_range(-1,1)"}),
               folder_ / seed);
  const auto student = [&](const std::string& logits) {
    train_once(
        plain_run(data(), {"task=distill", "distill.temperature=2", "distill.logits=" + logits,
                           "distill.teachers=[\"" + (folder_ / "1").string() + "\", \"" +
                               (folder_ / "2").string() + "\"]"}),
        folder_ / logits);
    return load_run_checkpoint(folder_ / logits / "ckpt/latest").weights;
  };
  const NamedTensors live = student("live"), cached = student("cached");
  EXPECT_TRUE(fs::exists(folder_ / "2/cache"));
  // The teachers' batches differ, and with them the order of their sums.
  for (const auto& [name, tensor] : live) {
    if (name.ends_with("attn_pool.kv.bias")) continue;
    EXPECT_LT(relative_difference(cached.at(name), tensor), 1e-5) << name;
  }
  EXPECT_EQ(error_of<UsageError>([&] {
              plain_run(data(), {"task=distill", "distill.teachers=[\"x\"]",
                                 "distill.logits=cached", "data.mixup=1"});
            }),
            "distill.logits=cached keeps what teachers say of plain images; use live with "
            "data.mixup");
}

// ATen's kl_div on the same numbers, and its autograd.
TEST_F(TransferTraining, DistillationIsTheDivergenceFromTheTeachersMean) {
  for (const char* seed : {"1", "2"})
    train_once(plain_run(data(), {std::string("seed=") + seed, "optim.lr=0.5"}), folder_ / seed);
  TrainConfig config =
      plain_run(data(), {"task=distill", "distill.temperature=2.5", "distill.feature_weight=0.3",
                         "distill.teachers=[\"" + (folder_ / "1").string() + "\", \"" +
                             (folder_ / "2").string() + "\"]"});
  config.model.num_classes = 4;
  const auto task = make_task(config, {});
  at::manual_seed(0);
  const Batch batch = batch_of(at::randn({6, 1, 16, 16}), at::zeros({6}, at::kLong));
  const at::Tensor student = at::randn({6, 4}), pooled = at::randn({6, 16});
  TowerOutputs outputs;
  outputs.main.logits_BC = student;
  outputs.main.pooled_BD = pooled;
  const TaskLoss got = task->loss(outputs, batch, single_process());

  at::Tensor wanted = at::zeros({6, 4}), features;
  for (const std::string& teacher : config.tasks.of<DistillConfig>().teachers) {
    const LoadedModel model = load_predictor(teacher, {});
    const VitOutputs said = model.predictor->features(batch.images_BCHW(), {});
    wanted += at::softmax(said.logits_BC / 2.5, 1) / 2;
    features = said.pooled_BD;
  }
  const at::AutoGradMode grad(true);
  const at::Tensor leaf = student.clone().requires_grad_(), own = pooled.clone().requires_grad_();
  const at::Tensor loss =
      at::kl_div(at::log_softmax(leaf / 2.5, 1), wanted, at::Reduction::Sum) * (2.5 * 2.5 / 6) +
      0.3 * (1 - at::cosine_similarity(own, features, 1)).mean();
  loss.backward();
  EXPECT_NEAR(got.loss.item<double>(), loss.item<double>(), 1e-5);
  EXPECT_LT(relative_difference(got.gradients.logits_BC, leaf.grad()), 1e-5);
  EXPECT_LT(relative_difference(got.gradients.pooled_BD, own.grad()), 1e-5);
}

// The student's own scale is no business of the teacher's.
TEST_F(TransferTraining, ALiveTeacherSeesPixelsInItsOwnRange) {
  train_once(plain_run(data(), {"optim.lr=0.5"}), folder_ / "teacher");
  const auto loss = [&](const std::string& pp_train, const at::Tensor& images) {
    TrainConfig config =
        plain_run(data(), {"task=distill", "data.pp_train=" + pp_train,
                           "distill.teachers=[\"" + (folder_ / "teacher").string() + "\"]"});
    config.model.num_classes = 4;
    TowerOutputs outputs;
    outputs.main.logits_BC = at::arange(24, at::kFloat).view({6, 4}) / 24;
    return make_task(config, {})
        ->loss(outputs, batch_of(images, at::zeros({6}, at::kLong)), single_process())
        .loss.item<double>();
  };
  at::manual_seed(0);
  const at::Tensor images = at::rand({6, 1, 16, 16});
  EXPECT_NEAR(loss("value_range(0,1)", images), loss("value_range(-1,1)", 2 * images - 1), 1e-6);
  EXPECT_GT(std::abs(loss("value_range(-1,1)", images) - loss("value_range(0,1)", images)), 1e-4);
  EXPECT_NE(error_of<UsageError>([&] {
              loss("flip_lr", images);
            }).find("data.pp_train: the transform flip_lr has neither value_range nor normalize"),
            std::string::npos);
}

TEST_F(TransferTraining, ALiveTeacherOfAnotherSizeIsRefused) {
  train_once(plain_run(data(), {"total_steps=1"}), folder_ / "teacher");
  const auto student = [&](const std::string& any_size) {
    TrainConfig config =
        plain_run(data(), {"task=distill", "model.img_size=32", "data.any_size=" + any_size,
                           "distill.teachers=[\"" + (folder_ / "teacher").string() + "\"]"});
    config.model.num_classes = 4;
    make_task(config, {});
  };
  EXPECT_NE(error_of<UsageError>([&] {
              student("false");
            }).find("is for images of 16 x 16 pixels, the student for 32 x 32"),
            std::string::npos);
  EXPECT_NO_THROW(student("true"));
}

TEST_F(TransferTraining, ARunHasTheTransformOfTheCheckpointThatItStartsFrom) {
  train_once(plain_run(data(), {"total_steps=1", "data.pp_eval=resize(16)|value_range(0,1)"}),
             folder_ / "first");
  const auto config_of = [&](const std::vector<std::string>& overrides) {
    TrainConfig config = plain_run(data(), overrides);
    config.init_from = (folder_ / "first").string();
    return config;
  };
  TrainConfig config = config_of({});
  config.data.pp_train = config.data.pp_eval = "";
  complete_transforms(config);
  EXPECT_EQ(config.data.pp_eval, "resize(16)|value_range(0,1)");
  EXPECT_EQ(config.data.pp_train, "decode|gray|inception_crop(16)|flip_lr|value_range(0,1)");
  train_once(plain_run(data(), {"total_steps=1",
                                "data.pp_eval=decode|gray|resize_small(20,bicubic)|"
                                "central_crop(16)|normalize(0.4,0.3)"}),
             folder_ / "cropped");
  config = config_of({"model.img_size=32"});
  config.init_from = (folder_ / "cropped").string();
  config.data.pp_eval = "";
  complete_transforms(config);
  EXPECT_EQ(config.data.pp_eval,
            "decode|gray|resize_small(40,bicubic)|central_crop(32)|normalize(0.4,0.3)");
  // What a user writes stays.
  config = config_of({"data.pp_eval=value_range(-1,1)"});
  config.data.pp_train = "";
  complete_transforms(config);
  EXPECT_EQ(config.data.pp_train, "decode|gray|inception_crop(16)|flip_lr|value_range(-1,1)");
}

TEST_F(TransferTraining, ImagesOfAnotherSizeAreRefusedBeforeAnyStepUnlessAskedFor) {
  const auto start = [&](const std::vector<std::string>& overrides, const char* out) {
    train_once(plain_run(data(), overrides), folder_ / out);
  };
  for (const std::string key : {"data.pp_train", "data.pp_eval"})
    EXPECT_EQ(error_of<UsageError>([&] { start({key + "=resize(24)|value_range(-1,1)"}, "run"); }),
              "images are 24 x 24 pixels after their transform, the model's are 16 x 16; end the "
              "transform in that size, or ask for another one (data.any_size=true in training, "
              "--img-size elsewhere)")
        << key;
  EXPECT_FALSE(fs::exists(folder_ / "run/ckpt"));
  start({"data.any_size=true", "data.pp_train=resize(24)|value_range(-1,1)",
         "data.pp_eval=resize(24)|value_range(-1,1)", "eval_steps=6"},
        "any");
  // What was trained so is evaluated so.
  const LoadedModel model = load_predictor(folder_ / "any", {});
  EXPECT_EQ(model.predictor->logits(at::zeros({1, 1, 24, 24})).size(1), 4);
  train_once(plain_run(data(), {"total_steps=1"}), folder_ / "plain");
  EXPECT_THROW(load_predictor(folder_ / "plain", {}).predictor->logits(at::zeros({1, 1, 24, 24})),
               UsageError);
}

TEST_F(TransferTraining, AStudentLearnsFromItsTeacherUnderMixup) {
  const std::vector<std::string> long_run = {
      "total_steps=300",  "ckpt_steps=300", "eval_steps=300",       "log_steps=300",
      "optim.name=adamw", "optim.lr=0.005", "optim.weight_decay=0", "optim.head_weight_decay=0"};
  train_once(plain_run(data(), long_run), folder_ / "teacher");
  const auto accuracy = [&](const char* of) {
    return load_run_checkpoint(folder_ / of / "ckpt/latest").state.best_metric;
  };
  EXPECT_GT(accuracy("teacher"), 0.8);  // chance is 0.25
  std::vector<std::string> distilled = long_run;
  distilled.insert(distilled.end(),
                   {"task=distill", "data.mixup=1.0", "model.depth=1",
                    "distill.teachers=[\"" + (folder_ / "teacher").string() + "\"]"});
  train_once(plain_run(data(), distilled), folder_ / "student");
  EXPECT_GT(accuracy("student"), 0.8);
}

// The student's classes are two of the teacher's, in another order.
TEST_F(TransferTraining, ATeachersClassesAreTheDatasByName) {
  train_once(
      plain_run(data(), {"optim.lr=0.5", "data.label_names=[\"ant\", \"bee\", \"cat\", \"dog\"]"}),
      folder_ / "teacher");
  TrainConfig config = plain_run(data(), {"data.label_names=[\"dog\", \"bee\"]"});
  config.task = "distill";
  config.tasks.of<DistillConfig>().teachers = {(folder_ / "teacher").string()};
  config.model.num_classes = 2;
  at::manual_seed(0);
  const Batch batch = batch_of(at::randn({6, 1, 16, 16}), at::zeros({6}, at::kLong));
  TowerOutputs outputs;
  outputs.main.logits_BC = at::zeros({6, 2});
  outputs.main.pooled_BD = at::zeros({6, 16});
  const TaskLoss got = make_task(config, {})->loss(outputs, batch, single_process());
  const at::Tensor said = load_predictor(config.tasks.of<DistillConfig>().teachers[0], {})
                              .predictor->logits(batch.images_BCHW())
                              .index_select(1, at::tensor({3, 1}, at::kLong));
  EXPECT_LT(relative_difference(got.gradients.logits_BC, (0.5 - at::softmax(said, 1)) / 6), 1e-5);
}

TEST_F(TransferTraining, TeachersOfOtherClassesOrChannelsAreRefused) {
  train_once(
      plain_run(data(), {"total_steps=1", "data.label_names=[\"ant\", \"bee\", \"cat\", \"dog\"]"}),
      folder_ / "teacher");
  const auto error = [&](const std::vector<std::string>& overrides) {
    TrainConfig config = plain_run(data(), overrides);
    config.task = "distill";
    config.tasks.of<DistillConfig>().teachers = {(folder_ / "teacher").string()};
    return error_of<UserError>([&] { make_task(config, {}); });
  };
  EXPECT_NE(
      error({"model.num_classes=7"})
          .find("has label 4, but teacher " + (folder_ / "teacher").string() + " has 4 classes"),
      std::string::npos);
  EXPECT_NE(
      error({"model.num_classes=4", "model.in_chans=3"}).find("sees 1 channels, the student 3"),
      std::string::npos);
  EXPECT_NE(error({"model.num_classes=2", "data.label_names=[\"bee\", \"emu\"]"})
                .find("the class 'emu' is not among the 4 classes of teacher"),
            std::string::npos);
  EXPECT_NE(error({"model.num_classes=4", "model.embed_dim=24", "model.num_heads=2",
                   "distill.feature_weight=1.0"})
                .find("features of width 16, the student 24"),
            std::string::npos);
}

TEST(DistillConfig, NeedsTeachersAndATask) {
  const auto error = [](const std::vector<std::string>& overrides) {
    return error_of<UsageError>([&] { plain_run("data", overrides); });
  };
  EXPECT_NE(error({"task=distill"}).find("distill.teachers="), std::string::npos);
  EXPECT_NE(error({"distill.teachers=[\"x\"]"}).find("use task=distill"), std::string::npos);
  EXPECT_NE(error({"data.mixup=2.0"}).find("data.mixup is 2"), std::string::npos);
}

}  // namespace
}  // namespace vit22b
