#include <gtest/gtest.h>

#include "checkpoint/run_checkpoint.h"
#include "model/initialise.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/mesh_run.h"
#include "support/program.h"

// Any mesh leaves one process's checkpoint: model and optimizer state, read back from the files,
// where classes are cut unevenly by ranks that share out their rows as well.
namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::TempFolder;

constexpr int64_t kSeed = 3;

/// Widths at which a classifier of so many classes has the 4,096 values of a sharded tensor.
int64_t width_for(int64_t classes) {
  return classes == 3 ? 1408 : classes == 7 ? 608 : 432;
}

/// A batch that 2, 3 and 4 ranks share; neither the keys' bias nor another tensor without a
/// gradient, which rounding alone would move.
std::vector<std::string> options_of(int64_t classes, const std::string& optimizer,
                                    const fs::path& data) {
  return {"total_steps=4",
          "eval_steps=0",
          "ckpt_steps=4",
          "warmup_steps=0",
          "threads=1",
          concat("seed=", kSeed),
          "schedule.name=constant",
          "model.name=test8",
          "model.in_chans=1",
          "model.img_size=8",
          "model.patch_size=4",
          "model.depth=1",
          "model.num_heads=4",
          "model.mlp_ratio=0.1",
          "model.global_pool=avg",
          concat("model.embed_dim=", width_for(classes)),
          concat("model.num_classes=", classes),
          "data.source=idx",
          "data.batch_size=12",
          "data.val=",
          "data.pp_train=value_range(-1,1)",
          "data.pp_eval=value_range(-1,1)",
          "data.root=" + data.string(),
          "optim.name=" + optimizer,
          "optim.lr=0.01"};
}

TrainConfig config_of(const std::vector<std::string>& options) {
  ConfigTree tree;
  for (const std::string& text : options) set_override(tree, text);
  return train_config_from_tree(tree);
}

/// How far a mesh's checkpoint may be from one process's, as shares of the norms of its state's
/// tensors and of what training has changed in its weights.
///
/// A float32 sum of the n = 1,408 products of the widest row in another order is within n 2^-24 =
/// 8e-5 of itself, SGD's whole error. AdamW's rule, and Adafactor's of vectors, divide a gradient
/// by its own size: where that is below the error d = 1e-6 of its tensor's the update is of any
/// sign, a share of the elements whose norm is sqrt(8 d) = 3e-3 of the update's. The head starts at
/// zero, so that what its updates are off by, the later gradients are too, and their squares twice
/// that; Adafactor's momentum is kept in bfloat16 besides: 2^-8 where a rounding goes the other
/// way. A piece that is another rank's, or nobody's, is off by tenths.
struct Closeness {
  double momentum, second_moment, weights;
};
Closeness closeness_of(const std::string& optimizer) {
  if (optimizer == "sgd") return {1e-4, 0, 1e-4};
  return {1e-2, 2e-2, 1e-2};
}

void expect_close(const at::Tensor& got, const at::Tensor& want, double size, double bound,
                  const std::string& what) {
  ASSERT_EQ(got.sizes(), want.sizes()) << what;
  EXPECT_LE((got.to(at::kDouble) - want.to(at::kDouble)).norm().item<double>(), bound * size)
      << what;
}

void expect_same_checkpoint(const fs::path& got_run, const fs::path& want_run,
                            const std::string& optimizer) {
  const RunCheckpoint got = load_run_checkpoint(got_run / "ckpt/latest"),
                      want = load_run_checkpoint(want_run / "ckpt/latest");
  const Closeness close = closeness_of(optimizer);
  for (const ParameterRow& row : parameter_table(want.info.config)) {
    const at::Tensor& whole = want.weights.at(row.name);
    const double changed =
        (whole.to(at::kDouble) - initial_tensor(row, kSeed)).norm().item<double>();
    EXPECT_GT(changed, 0) << row.name;
    expect_close(got.weights.at(row.name), whole, changed, close.weights,
                 got_run.filename().string() + " " + row.name);
  }
  ASSERT_EQ(got.optimizer.size(), want.optimizer.size());
  for (const auto& [name, slot] : want.optimizer) {
    const bool is_momentum = name.starts_with("momentum/");
    expect_close(got.optimizer.at(name), slot, slot.to(at::kDouble).norm().item<double>(),
                 is_momentum ? close.momentum : close.second_moment,
                 got_run.filename().string() + " " + name);
  }
}

const std::vector<MeshShape> kMeshes = {{2, 2}, {4, 2}, {3, 2}, {3, 4}};
const std::vector<std::string> kOptimizers = {"adafactor", "adamw", "sgd"};

/// Runs of a number of classes and an optimizer, each mesh and store beside one process.
class MeshFiles : public testing::Test {
 protected:
  void expect_equal(int64_t classes, const std::string& optimizer,
                    const std::vector<MeshShape>& meshes, const std::vector<std::string>& stores) {
    const fs::path data = folder_ / concat("data", classes);
    if (!fs::exists(data)) test::write_idx(data, "train", 48, static_cast<int>(classes), 8);
    const std::vector<std::string> options = options_of(classes, optimizer, data);
    const fs::path one = folder_ / concat("one-", classes, optimizer);
    test::train_on({1, 1}, config_of(options), one);
    for (const MeshShape& mesh : meshes)
      for (const std::string& store : stores) {
        if (classes < mesh.model) continue;  // refused
        const fs::path out =
            folder_ / concat(mesh.data, "x", mesh.model, "-", store, "-", classes, optimizer);
        run_mesh(mesh, options, store, out);
        expect_same_checkpoint(out, one, optimizer);
        fs::remove_all(out);
      }
  }
  virtual void run_mesh(MeshShape mesh, std::vector<std::string> options, const std::string& store,
                        const fs::path& out) {
    options.push_back("store=" + store);
    test::train_on(mesh, config_of(options), out);
  }

 private:
  TempFolder folder_;
};

TEST_F(MeshFiles, ThreeClassesOnTwoByTwoShardedRanksEqualOneProcess) {
  for (const std::string& optimizer : kOptimizers)
    expect_equal(3, optimizer, {{2, 2}}, {"sharded"});
}

class SlowMeshFiles : public MeshFiles {};

TEST_F(SlowMeshFiles, EveryMeshStoreAndOptimizerEqualsOneProcess) {
  for (const int64_t classes : {3, 7, 10})
    for (const std::string& optimizer : kOptimizers)
      expect_equal(classes, optimizer, kMeshes, {"resident", "sharded"});
}

/// The same by the program's own --procs, over MPI.
class ProcessMeshFiles : public MeshFiles {
 protected:
  void run_mesh(MeshShape mesh, std::vector<std::string> options, const std::string& store,
                const fs::path& out) override {
    options.insert(options.end(), {"store=" + store, concat("mesh.data=", mesh.data),
                                   concat("mesh.model=", mesh.model)});
    test::write_file(out.string() + ".toml", "");
    std::string words;
    for (const std::string& option : options) words += " '" + option + "'";
    const test::Ended ended = test::vit(concat("train ", out.string(), ".toml", words, " --out ",
                                               out.string(), " --procs ", mesh.data * mesh.model));
    ASSERT_EQ(ended.code, 0) << ended.err;
  }
};

TEST_F(ProcessMeshFiles, ThreeClassesOnTwoByTwoShardedRanksEqualOneProcess) {
  expect_equal(3, "adamw", {{2, 2}}, {"sharded"});
}

class SlowProcessMeshFiles : public ProcessMeshFiles {};

TEST_F(SlowProcessMeshFiles, UnevenClassesOnUnevenMeshesEqualOneProcess) {
  expect_equal(3, "adafactor", {{2, 2}}, {"resident", "sharded"});
  expect_equal(7, "adamw", {{4, 2}}, {"sharded"});
  expect_equal(10, "sgd", {{3, 4}}, {"sharded"});
  expect_equal(7, "adafactor", {{3, 2}}, {"resident", "sharded"});
}

}  // namespace
}  // namespace vit22b
