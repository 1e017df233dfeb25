#include "checkpoint/adapters.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>

#include "checkpoint/container/containers.h"
#include "checkpoint/convert.h"
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

/// A trained model, and runs that adapt it.
class Adapters : public testing::Test {
 protected:
  Adapters() {
    test::write_idx(folder_ / "data", "train", 90);
    test::run_quietly(config({"total_steps=5"}), folder_ / "base");
  }

  TrainConfig config(const std::vector<std::string>& overrides) const {
    return test::eight_steps(folder_ / "data", overrides);
  }
  TrainConfig adapted(std::vector<std::string> overrides = {}) const {
    overrides.insert(overrides.begin(),
                     {"init_from=" + (folder_ / "base").string(), "lora.rank=3", "lora.alpha=6"});
    return config(overrides);
  }
  std::string train(const std::string& name, const TrainConfig& config) const {
    test::run_quietly(config, folder_ / name);
    return folder_ / name;
  }
  at::Tensor pooled(const fs::path& checkpoint, const std::string& store = "resident") const {
    const LoadedModel model = load_predictor(checkpoint, {.store = store});
    at::manual_seed(5);
    return model.predictor->features(at::randn({3, 1, 16, 16}), {}).pooled_BD;
  }
  static std::vector<std::string> names_in(const fs::path& run) {
    return open_container(run / "ckpt/latest" / kAdapterFile).names();
  }
  /// Whether two runs have ended with the same bits.
  static void expect_same(const fs::path& a, const fs::path& b) {
    for (const char* file : {kAdapterFile, "optimizer.safetensors"})
      EXPECT_EQ(test::read_file(a / "ckpt/latest" / file),
                test::read_file(b / "ckpt/latest" / file))
          << file;
  }

  TempFolder folder_;
};

TEST_F(Adapters, AreSavedAloneWithTheHead) {
  const fs::path run = train("run", adapted());
  int64_t adapters = 0;
  for (const std::string& name : names_in(run)) {
    const bool is_adapter = name.find(".lora_") != std::string::npos;
    EXPECT_TRUE(is_adapter || name.starts_with("base_model.model.head.")) << name;
    adapters += is_adapter;
  }
  EXPECT_EQ(adapters, 2 * 2 * 3);  // of two blocks with three matrices each
  EXPECT_FALSE(fs::exists(run / "ckpt/latest/model.safetensors"));
}

TEST_F(Adapters, AtFirstTheModelIsItsBaseAndThenItLearns) {
  const fs::path first = train("first", adapted({"total_steps=1", "optim.lr=1e-30"}));
  EXPECT_TRUE(test::is_same(pooled(first), pooled(folder_ / "base")));
  EXPECT_GT(relative_difference(pooled(train("run", adapted())), pooled(folder_ / "base")), 1e-3);
}

TEST_F(Adapters, EveryStoreTrainsTheSame) {
  const fs::path resident = train("resident", adapted());
  for (const char* activation : {"keep", "recompute"}) {
    const fs::path run = train(concat("streamed-", activation),
                               adapted({"store=streamed", concat("activation=", activation)}));
    expect_same(resident, run);
  }
  expect_same(resident, train("now", adapted({"store=streamed", "update=now"})));
}

TEST_F(Adapters, RanksOfADataAxisTrainAsOneProcess) {
  const fs::path alone = train("alone", adapted());
  for (const char* store : {"resident", "sharded", "streamed"}) {
    const fs::path run = folder_ / store;
    test::train_on({2, 1}, adapted({concat("store=", store)}), run);
    const RunCheckpoint a = load_run_checkpoint(alone / "ckpt/latest"),
                        b = load_run_checkpoint(run / "ckpt/latest");
    for (const auto& [name, tensor] : a.weights)
      EXPECT_LT(relative_difference(b.weights.at(name), tensor), 1e-4) << store << " " << name;
  }
}

TEST_F(Adapters, GoOnBitForBit) {
  for (const char* store : {"resident", "streamed"}) {
    const std::string name = store, option = concat("store=", store);
    const fs::path whole = train(name + "-whole", adapted({option}));
    train(name + "-cut", adapted({option, "total_steps=4"}));
    expect_same(whole, train(name + "-cut", adapted({option})));
  }
}

TEST_F(Adapters, ACheckpointIsReadWithItsBaseResidentAndStreamed) {
  const fs::path run = train("run", adapted());
  EXPECT_TRUE(test::is_same(pooled(run), pooled(run, "streamed")));
}

TEST_F(Adapters, AreAddedToTheWeightsOnExport) {
  const fs::path run = train("run", adapted());
  FileOps ops(ExitCode::kCheckpoint);
  convert_checkpoint(ops, resolve_checkpoint(run), folder_ / "merged", {});
  EXPECT_TRUE(fs::exists(folder_ / "merged/model.safetensors"));
  // Sums of 16 to 32 terms in another order.
  EXPECT_LT(relative_difference(pooled(folder_ / "merged"), pooled(run)), 1e-6);
}

TEST_F(Adapters, MayStandBesideOthersThatAreAdded) {
  const fs::path first = train("first", adapted());
  const fs::path second = train(
      "second", config({"init_from=" + first.string(), "lora.rank=2", "lora.targets=in_proj"}));
  FileOps ops(ExitCode::kCheckpoint);
  convert_checkpoint(ops, resolve_checkpoint(second), folder_ / "merged", {});
  EXPECT_LT(relative_difference(pooled(folder_ / "merged"), pooled(second)), 1e-6);
  EXPECT_GT(relative_difference(pooled(second), pooled(first)), 1e-3);
}

TEST_F(Adapters, AnotherBaseOrNoneIsRefusedAndItsPlaceMayBeSaid) {
  const fs::path run = train("run", adapted()), base = folder_ / "base", moved = folder_ / "moved";
  const at::Tensor want = pooled(run);
  fs::rename(base, moved);
  const std::string gone = error_of<CheckpointError>([&] { pooled(run); });
  EXPECT_NE(gone.find("which cannot be read"), std::string::npos) << gone;
  EXPECT_NE(gone.find("?base=CKPT"), std::string::npos) << gone;
  EXPECT_TRUE(test::is_same(pooled(run.string() + "?base=" + moved.string()), want));
  test::run_quietly(config({"total_steps=5", "seed=9"}), base);
  const std::string other = error_of<CheckpointError>([&] { pooled(run); });
  EXPECT_NE(other.find("others now than those that it was trained on"), std::string::npos) << other;
}

TEST_F(Adapters, ABaseOfItselfIsRefused) {
  const fs::path run = train("run", adapted()), file = run / "ckpt/latest/config.json";
  std::string text = test::read_file(file);
  const std::string place = fs::canonical(folder_ / "base/ckpt/latest").string();
  text.replace(text.find(place), place.size(), fs::canonical(run / "ckpt/latest").string());
  fs::create_directory(folder_ / "ring");
  test::write_file(folder_ / "ring/config.json", text);
  fs::copy_file(run / "ckpt/latest" / kAdapterFile, folder_ / "ring" / kAdapterFile);
  fs::remove(run / "ckpt/latest/manifest.json");
  test::write_file(file, text);
  const std::string error = error_of<CheckpointError>([&] { pooled(folder_ / "ring"); });
  EXPECT_NE(error.find("more than 4 stand beside each other"), std::string::npos) << error;
}

TEST_F(Adapters, ADamagedBaseIsNamed) {
  const fs::path run = train("run", adapted());
  const fs::path file = fs::canonical(folder_ / "base/ckpt/latest") / "model.safetensors";
  std::string bytes = test::read_file(file);
  // Behind the 4 KiB of the tensor that the base is known by.
  bytes.at(open_container(file).tensor("blocks.0.in_proj.weight").offset + 5000) ^= 1;
  test::write_file(file, bytes);
  const std::string error = error_of<CheckpointError>([&] { pooled(run); });
  EXPECT_NE(error.find("is damaged"), std::string::npos) << error;
  EXPECT_NE(error.find(file.string()), std::string::npos) << error;
  // Nor does a run go on with it.
  const std::string resumed =
      error_of<CheckpointError>([&] { train("run", adapted({"total_steps=12"})); });
  EXPECT_NE(resumed.find("is damaged"), std::string::npos) << resumed;
}

TEST_F(Adapters, ARunWhoseBaseHasMovedGoesOnFromWhereItIsNow) {
  train("run", adapted({"total_steps=4"}));
  const fs::path whole = train("whole", adapted());
  fs::rename(folder_ / "base", folder_ / "moved");
  train("run", adapted({"init_from=" + (folder_ / "moved").string()}));
  const std::string now = "?base=" + (folder_ / "moved").string();
  EXPECT_TRUE(
      test::is_same(pooled(folder_ / "run"), pooled((whole / "ckpt/latest").string() + now)));
}

TEST_F(Adapters, WholeBlocksMayTrainBesideOthersThatStayInTheirFile) {
  for (const char* tune : {"tune=[\"blocks.1.*\"]", "tune=[\"*\"]"}) {
    const fs::path resident = train(concat("resident", tune), adapted({tune})),
                   streamed = train(concat("streamed", tune), adapted({tune, "store=streamed"}));
    expect_same(resident, streamed);
  }
}

TEST_F(Adapters, OnTooManyOthersAreRefusedBeforeTheyTrain) {
  std::string from = folder_ / "base";
  for (const char* name : {"a", "b", "c", "d"})
    from = train(name, config({"init_from=" + from, "lora.rank=2"}));
  pooled(from);
  const std::string error = error_of<CheckpointError>([&] {
    train("e", config({"init_from=" + from, "lora.rank=2"}));
  });
  EXPECT_NE(error.find("stand beside each other"), std::string::npos) << error;
}

TEST_F(Adapters, WhatPeftWouldReadOtherwiseIsNotGivenToIt) {
  const auto has_config = [&](const std::string& name, const std::vector<std::string>& more) {
    return fs::exists(fs::path(train(name, adapted(more))) / "ckpt/latest" / kAdapterConfig);
  };
  EXPECT_TRUE(has_config("norms", {"tune=[\"*norm*\"]"}));
  EXPECT_FALSE(has_config("both", {"tune=[\"*.in_proj.weight\"]"}));
  EXPECT_FALSE(has_config("part", {"tune=[\"patch_embed.proj.bias\"]"}));
  EXPECT_FALSE(
      has_config("size", {"model.img_size=32", "data.pp_train=resize(32)|value_range(-1,1)",
                          "data.pp_eval=resize(32)|value_range(-1,1)"}));
}

TEST_F(Adapters, AHeadMayBeLeftBehindOnExport) {
  const fs::path run = train("run", adapted());
  FileOps ops(ExitCode::kCheckpoint);
  ConvertOptions options;
  options.has_no_head = true;
  const Conversion done =
      convert_checkpoint(ops, resolve_checkpoint(run), folder_ / "bare", options);
  EXPECT_EQ(done.left, (std::vector<std::string>{"head.weight", "head.bias"}));
  EXPECT_LT(relative_difference(pooled(folder_ / "bare"), pooled(run)), 1e-6);
}

// Ends a streamed run of many steps in its midst by `interrupt`, and gives its exit status.
int interrupted(const TrainConfig& config, const fs::path& out,
                const std::function<void(pid_t)>& interrupt) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      test::run_quietly(config, out);
      _exit(0);
    } catch (const CheckpointError& e) {
      _exit(static_cast<int>(e.code()));
    } catch (...) {
      _exit(1);
    }
  }
  constexpr int kMaxTries = 10'000;  // 20 s
  std::error_code error;
  for (int i = 0; i < kMaxTries && !fs::exists(out / "ckpt/latest", error); ++i) usleep(2000);
  interrupt(child);
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST_F(Adapters, ABaseThatChangesInMidPassOrAKillCostsNoSavedStep) {
  const TrainConfig config = adapted({"store=streamed", "total_steps=300", "ckpt_steps=20"});
  const fs::path whole = train("whole", config),
                 file = fs::canonical(folder_ / "base/ckpt/latest") / "model.safetensors";
  const std::string bytes = test::read_file(file);
  const int changed =
      interrupted(config, folder_ / "changed", [&](pid_t) { test::write_file(file, bytes + " "); });
  EXPECT_EQ(WEXITSTATUS(changed), 4);
  test::write_file(file, bytes);
  interrupted(config, folder_ / "killed", [](pid_t child) { kill(child, SIGKILL); });
  for (const char* name : {"changed", "killed"}) {
    ASSERT_LT(load_run_checkpoint(folder_ / name / "ckpt/latest").state.step, 300) << name;
    expect_same(whole, train(name, config));
  }
}

TEST_F(Adapters, WhoseBaseGoesAwayAreSavedToTheEndWhereItIsInMemory) {
  const TrainConfig config = adapted({"total_steps=300", "ckpt_steps=20"});
  const int ended = interrupted(config, folder_ / "run",
                                [&](pid_t) { fs::rename(folder_ / "base", folder_ / "moved"); });
  EXPECT_EQ(WEXITSTATUS(ended), 0);
  EXPECT_EQ(saved_step(folder_ / "run/ckpt/latest"), 300);
}

TEST_F(Adapters, TheNewSizeOfAPositionTableIsSavedToo) {
  const fs::path run =
      train("run", adapted({"model.img_size=32", "data.pp_train=resize(32)|value_range(-1,1)",
                            "data.pp_eval=resize(32)|value_range(-1,1)", "store=streamed"}));
  const std::vector<std::string> names = names_in(run);
  EXPECT_NE(std::find(names.begin(), names.end(), "base_model.model.pos_embed"), names.end());
}

TEST_F(Adapters, NormsAndBiasesAreTunedBesideWeightsThatStayInTheirFile) {
  const std::vector<std::string> tune = {"tune=[\"*norm*\", \"*bias\"]", "lora.rank=0",
                                         "lora.alpha=16"};
  auto with_store = [&](const char* store) {
    std::vector<std::string> all = tune;
    all.push_back(concat("store=", store));
    return adapted(all);
  };
  const fs::path streamed = train("streamed", with_store("streamed")),
                 resident = train("resident", with_store("resident"));
  const RunCheckpoint a = load_run_checkpoint(streamed / "ckpt/latest"),
                      b = load_run_checkpoint(resident / "ckpt/latest");
  for (const auto& [name, tensor] : a.weights)
    EXPECT_TRUE(test::is_same(tensor, b.weights.at(name))) << name;
  EXPECT_FALSE(fs::exists(streamed / "ckpt/latest" / kAdapterConfig));
}

TEST_F(Adapters, WhatDoesNotGoTogetherIsNamed) {
  const auto expect_error = [&](const std::vector<std::string>& overrides, const char* text) {
    const std::string error = error_of<UsageError>([&] { config(overrides); });
    EXPECT_NE(error.find(text), std::string::npos) << error;
  };
  const std::string from = "init_from=" + (folder_ / "base").string();
  expect_error({"lora.rank=2"}, "lora.rank trains beside the weights of a checkpoint");
  expect_error({from, "store=streamed"}, "give lora.rank, or name patterns as tune");
  expect_error({from, "lora.rank=2", "lora.targets=[\"qkx\"]"},
               "'qkx' is no layer of these blocks");
  expect_error({from, "lora.rank=2", "mesh.model=2"}, "use mesh.model=1");
  expect_error({from, "lora.targets=in_proj"}, "lora.targets is set, but lora.rank=0");
  expect_error({from, "lora.rank=-1"}, "lora.rank is -1");
  expect_error({from, "lora.rank=2", "lora.alpha=0"}, "lora.alpha is 0");
}

}  // namespace
}  // namespace vit22b
