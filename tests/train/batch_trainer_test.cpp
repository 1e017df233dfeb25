#include "train/batch_trainer.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/small_run.h"
#include "support/tensors.h"
#include "train/data_setup.h"
#include "train/task.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;

/// A config on generated data, completed from it as a run's is.
TrainConfig completed(const TempFolder& folder, const std::vector<std::string>& overrides) {
  TrainConfig config = test::small_run(folder / "data", overrides);
  complete_from_data(config, *open_train_data(config.data).train);
  return config;
}

Batch random_batch(const TrainConfig& config) {
  return batch_of(at::randn({8, 1, 16, 16}),
                  at::arange(8, at::kLong).remainder(config.model.num_classes));
}

// With clipping, bf16 weights, weight decay, warm-up and averages: all that a step's number
// decides.
TEST(BatchTrainer, WithARunsBatchesMakesItsWeightsBitForBit) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  for (const char* weights : {"weights=fp32", "weights=bf16"}) {
    const TrainConfig config =
        completed(folder, {"total_steps=12", "warmup_steps=3", "cooldown_percent=25",
                           "optim.lr=0.01", "optim.polyak=0.9", "seed=5", weights});
    const auto run = folder / weights;
    test::run_quietly(config, run);
    BatchTrainer trainer(config);
    const auto task = make_task(config, Device{});
    const auto data = open_train_data(config.data).train;
    const Transforms transforms(config.data.pp_train, 5);
    BatchLoader loader(*data, transforms, {.batch_size = config.data.batch_size, .seed = 5});
    for (Batch batch; trainer.steps() < 12;) {
      loader.next(batch);
      trainer.step(*task, batch);
    }
    FileOps ops;
    trainer.save(ops, run / "saved");
    EXPECT_EQ(test::read_file(run / "saved/model.safetensors"),
              test::read_file(run / "ckpt/latest/model.safetensors"))
        << weights;
    EXPECT_EQ(test::read_file(run / "saved/config.json"),
              test::read_file(run / "ckpt/latest/config.json"));
  }
}

TEST(BatchTrainer, AFolderThatIsThereIsKept) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  test::write_file(folder / "mine/note", "keep");
  BatchTrainer trainer(completed(folder, {"total_steps=1"}));
  FileOps ops;
  EXPECT_NE(error_of<UsageError>([&] {
              trainer.save(ops, folder / "mine");
            }).find("is there already and not empty"),
            std::string::npos);
  EXPECT_EQ(test::read_file(folder / "mine/note"), "keep");
}

TEST(BatchTrainer, ImagesThatAreNotFiniteAreAnErrorAndTheWeightsStay) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  const TrainConfig config = completed(folder, {"total_steps=4"});
  BatchTrainer trainer(config);
  const auto task = make_task(config, Device{});
  Batch batch = random_batch(config);
  const at::Tensor images = batch.images_BCHW(), before = trainer.forward(images).logits_BC;
  batch.fields.at(kImageField) = images / 0;
  EXPECT_NE(error_of<NumbersError>([&] {
              trainer.step(*task, batch);
            }).find("step 1: the loss is not finite"),
            std::string::npos);
  EXPECT_TRUE(test::is_same(trainer.forward(images).logits_BC, before));
}

TEST(BatchTrainer, RefusesWhatNeedsARun) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  EXPECT_EQ(error_of<UsageError>([&] {
              BatchTrainer(completed(folder, {"total_steps=1", "state=file"}));
            }),
            "state=file is of a run's folder; use state=memory");
  EXPECT_NE(error_of<UsageError>([&] {
              BatchTrainer(completed(folder, {"total_epochs=1"}));
            }).find("epochs needs a data set"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
