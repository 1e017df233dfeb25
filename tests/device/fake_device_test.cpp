#include "support/fake_device.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/model_writer.h"
#include "dist/threads.h"
#include "model/initialise.h"
#include "support/datasets.h"
#include "support/pictures.h"
#include "support/small_run.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::fake_device;
using test::TempFolder;

const Device kFake{c10::kPrivateUse1, 0}, kOtherFake{c10::kPrivateUse1, 1};

TEST(FakeDevice, RefusesTensorsOfTwoPlaces) {
  const at::Tensor here = at::ones({3}), there = at::ones({3}, fake_device()),
                   elsewhere = at::ones({3}, fake_device(1));
  EXPECT_THROW(here + there, c10::Error);
  EXPECT_THROW(there.mul_(here), c10::Error);
  EXPECT_THROW(there + elsewhere, c10::Error);
  EXPECT_THROW(at::cat({there, here}), c10::Error);
  EXPECT_THROW(there.index_select(0, at::zeros({1}, at::kLong)), c10::Error);
  EXPECT_EQ((there + at::ones({})).device(), fake_device());  // as a GPU takes a host's number
  EXPECT_EQ((elsewhere * 2).sum().item<double>(), 6);
  EXPECT_TRUE(at::equal(there.cpu(), here));
}

TEST(FakeDevice, CountsWhatTheHostWaitsFor) {
  const int64_t before = test::fake_device_waits();
  const at::Tensor there = at::ones({3}, fake_device());
  const at::Tensor sum = (there * 2).sum();
  EXPECT_EQ(test::fake_device_waits(), before);
  EXPECT_EQ(sum.item<double>(), 6);
  EXPECT_EQ(test::fake_device_waits(), before + 1);
}

/// Every tensor of a run's last checkpoint.
NamedTensors last_weights(const std::filesystem::path& run, const char* file) {
  const SafetensorsFile weights(run / "ckpt/latest" / file);
  NamedTensors all;
  for (const auto& [name, entry] : weights.entries()) all[name] = weights.load(name);
  return all;
}

void expect_near(const NamedTensors& got, const NamedTensors& want, double bound) {
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, tensor] : want)
    EXPECT_LT((got.at(name) - tensor).abs().max().item<double>(), bound) << name;
}

/// Runs on a fake device beside the same on the CPU: whatever is made on the host and meets what
/// is on the device ends one with an error.
class OnAFakeDevice : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(
    Options, OnAFakeDevice,
    testing::Values("", "optim.name=adafactor", "optim.name=sgd", "loss=softmax",
                    "update=now optim.clip_norm=0", "update=now", "update=now optim.clip=previous",
                    "state=host", "state=host optim.name=adafactor", "accumulate=2",
                    "activation=recompute", "activation=recompute block_inputs=host",
                    "data.mixup=0.5", "optim.polyak=0.9", "precision=bf16", "engine=reference",
                    "model.block=serial model.class_token=true model.global_pool=token"));

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> all;
  for (const std::string& word : split(text, ' '))
    if (!word.empty()) all.push_back(word);
  return all;
}

TEST_P(OnAFakeDevice, TrainingIsTheCpus) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 40);
  std::vector<std::string> overrides = {"total_steps=4", "eval_steps=2", "ckpt_steps=4",
                                        "log_steps=2", "optim.lr=0.001"};
  for (const std::string& word : words(GetParam())) overrides.push_back(word);
  const TrainConfig config = test::small_run(folder / "data", overrides);
  // The device's engine computes in another order than the CPU's, and by the optimizer's root and
  // bfloat16 a rounding becomes more than that.
  const double bound = config.precision == "bf16" ? 2e-2 : 2e-3;
  test::run_quietly(config, folder / "cpu");
  const NamedTensors want = last_weights(folder / "cpu", "model.safetensors");
  for (const Device& device : {kFake, kOtherFake}) {
    const std::string run = device.index == 0 ? "first" : "second";
    test::run_quietly(config, folder / run, device);
    expect_near(last_weights(folder / run, "model.safetensors"), want, bound);
  }
}

TEST(OnAFakeDevice, RunsGoOnBitForBit) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 40);
  const auto config = [&](const std::string& total) {
    return test::small_run(folder / "data", {total, "ckpt_steps=2", "optim.name=adafactor"});
  };
  test::run_quietly(config("total_steps=4"), folder / "whole", kFake);
  test::run_quietly(config("total_steps=2"), folder / "cut", kFake);
  test::run_quietly(config("total_steps=4"), folder / "cut", kFake);
  EXPECT_EQ(test::read_file(folder / "whole/ckpt/latest/model.safetensors"),
            test::read_file(folder / "cut/ckpt/latest/model.safetensors"));
}

/// Ranks of the data axis whose tensors are on the device and meet through it, as NCCL's do. (Of
/// the model axis they cannot be threads: libtorch differentiates all of a device's graphs in one.)
class OnFakeDevices : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Options, OnFakeDevices,
                         testing::Values("", "store=sharded", "store=sharded optim.name=adafactor",
                                         "store=sharded update=now optim.clip_norm=0",
                                         "store=sharded accumulate=2 optim.polyak=0.9",
                                         "data.mixup=0.5", "loss=softmax activation=recompute"));

/// Plays NCCL: takes tensors on the device, in the memory of which ranks that are threads meet.
class DeviceCommunicator : public Communicator {
 public:
  explicit DeviceCommunicator(Communicator& host) : host_(host) {}
  int64_t rank() const override { return host_.rank(); }
  int64_t size() const override { return host_.size(); }
  void set_step(int64_t step) override { host_.set_step(step); }
  PendingPtr send(const at::Tensor& tensor, int64_t to, std::string_view name) override {
    return host_.send(test::host_view(tensor), to, name);
  }
  PendingPtr recv(const at::Tensor& into, int64_t from, std::string_view name) override {
    return host_.recv(test::host_view(into), from, name);
  }
  PendingPtr exchange(const Exchange& both, std::string_view name) override {
    return host_.exchange(
        {test::host_view(both.sent), both.to, test::host_view(both.received), both.from}, name);
  }
  PendingPtr start(const Collective& collective) override {
    // Operands of one collective lie at one place.
    if (collective.input.defined())
      EXPECT_EQ(collective.input.device(), collective.output.device()) << collective.name;
    Collective on_host = collective;
    if (on_host.input.defined()) on_host.input = test::host_view(on_host.input);
    on_host.output = test::host_view(on_host.output);
    return host_.start(on_host);
  }

 private:
  Communicator& host_;
};

void train_on_two_devices(const TrainConfig& config, const std::filesystem::path& out) {
  log_set_quiet(true);
  const MeshShape shape{2, 1};
  run_as_threads(shape.data, [&](const std::shared_ptr<Transport>& transport) {
    const Mesh hosts = make_mesh(transport, shape, /*deadline_s=*/120);
    const auto on_device = [&](MeshAxis axis) {
      return std::make_unique<DeviceCommunicator>(hosts.along(axis));
    };
    const Mesh mesh(on_device(MeshAxis::kData), on_device(MeshAxis::kModel),
                    on_device(MeshAxis::kAll));
    FileOps ops(ExitCode::kCheckpoint);
    TrainOptions options;
    options.out = out;
    options.is_quiet = true;
    options.mesh = &mesh;
    options.device = kFake;
    train(config, options, ops);
  });
}

TEST_P(OnFakeDevices, TrainAsOneProcessOfTheCpu) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 40);
  std::vector<std::string> overrides = {"total_steps=3", "eval_steps=3", "ckpt_steps=3",
                                        "optim.lr=0.001", "model.embed_dim=32"};
  for (const std::string& word : words(GetParam())) overrides.push_back(word);
  const TrainConfig of_mesh = test::small_run(folder / "data", overrides);
  TrainConfig of_one = of_mesh;
  of_one.store = "resident";
  test::run_quietly(of_one, folder / "one");
  TrainConfig config = of_mesh;
  config.mesh.data = 2;
  train_on_two_devices(config, folder / "mesh");
  expect_near(last_weights(folder / "mesh", "model.safetensors"),
              last_weights(folder / "one", "model.safetensors"), 2e-3);
}

/// Pictures with captions, and an image tower.
class TasksOnAFakeDevice : public testing::Test {
 protected:
  void SetUp() override {
    test::write_captioned_pictures(folder_.path());
    ViTConfig config = preset("test8");
    config.img_size = {16, 16};
    config.num_classes = 4;
    NamedTensors weights;
    for (const ParameterRow& row : parameter_table(config))
      weights[row.name] = randomised_tensor(row, 0);
    FileOps ops;
    ops.make_folder(folder_ / "image");
    Manifest manifest;
    write_model(ops, folder_ / "image",
                {config, default_pp_eval(config), {"blue", "green", "red", "white"}}, weights,
                manifest);
    write_manifest(ops, folder_ / "image", manifest);
  }
  /// Trains on the CPU and on a fake device, and compares what came of it.
  void expect_same(const std::string& name, const std::vector<std::string>& overrides,
                   const char* file) {
    ConfigTree tree;
    for (const char* text :
         {"total_steps=3", "eval_steps=3", "ckpt_steps=3", "log_steps=1", "model.name=test8",
          "data.source=manifest", "data.batch_size=16", "data.val=10%", "optim.name=sgd",
          "optim.lr=0.05", "schedule.name=constant", "threads=1"})
      set_override(tree, text);
    set_override(tree, "data.root=" + (folder_ / "m.csv").string());
    for (const std::string& text : overrides) set_override(tree, text);
    const TrainConfig config = train_config_from_tree(tree);
    test::run_quietly(config, folder_ / (name + "_cpu"));
    test::run_quietly(config, folder_ / (name + "_fake"), kFake);
    expect_near(last_weights(folder_ / (name + "_fake"), file),
                last_weights(folder_ / (name + "_cpu"), file), 1e-3);
  }
  std::string tower() const { return (folder_ / "image").string(); }

  TempFolder folder_;
};

TEST_F(TasksOnAFakeDevice, TextTowersTrain) {
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"loss=softmax"}, {"lit.images=live"}, {"lit.unlock=all"}}) {
    std::vector<std::string> overrides = {"task=lit", "model.context_length=8",
                                          "lit.tokenizer=train:28", "lit.image_tower=" + tower()};
    overrides.insert(overrides.end(), more.begin(), more.end());
    expect_same("lit" + (more.empty() ? "" : more[0]), overrides, "text.safetensors");
  }
}

TEST_F(TasksOnAFakeDevice, StudentsLearn) {
  for (const std::string words : {"logits=cached", "logits=live", "feature_weight=0.1"})
    expect_same(words,
                {"task=distill", "distill.teachers=[\"" + tower() + "\"]", "model.img_size=16",
                 "distill." + words, "data.pp_train=decode|rgb|value_range(-1,1)"},
                "model.safetensors");
}

}  // namespace
}  // namespace vit22b
