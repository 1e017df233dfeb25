#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "checkpoint/run_checkpoint.h"
#include "core/rng.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/program.h"
#include "support/tensors.h"

// Runs whose weights and optimizer state lie in a mapped file, updated inside the backward pass,
// and what kills, full disks and strangers' files do to them.
namespace vit22b {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using test::Ended;
using test::TempFolder;

class StateFileRuns : public testing::Test {
 protected:
  StateFileRuns() {
    test::write_idx(folder / "data", "train", 90, 10);
    test::write_file(folder / "c.toml", R"toml(total_steps = 30
ckpt_steps = 5
log_steps = 1
eval_steps = 1000
threads = 1
seed = 3
activation = "recompute"
update = "now"
weights = "bf16"
[model]
name = "test8"
img_size = 16
patch_size = 4
in_chans = 1
embed_dim = 48
num_heads = 12
depth = 2
[data]
source = "idx"
batch_size = 16
val = ""
pp_train = "flip_lr|value_range(-1,1)"
pp_eval = "value_range(-1,1)"
[optim]
name = "adafactor"
clip = "previous"
[schedule]
name = "constant"
)toml");
  }
  std::string line(const std::string& run, const std::string& more) const {
    return concat("train ", (folder / "c.toml").string(), " data.root=", (folder / "data").string(),
                  " --out ", (folder / run).string(), " ", more);
  }
  fs::path latest(const std::string& run) const { return folder / run / "ckpt/latest"; }
  void expect_equal_runs(const std::string& a, const std::string& b) const {
    const RunCheckpoint x = load_run_checkpoint(latest(a)), y = load_run_checkpoint(latest(b));
    EXPECT_EQ(x.state.step, y.state.step);
    for (const auto& [name, tensor] : x.weights)
      EXPECT_TRUE(test::is_same(tensor, y.weights.at(name))) << name;
    for (const auto& [name, tensor] : x.optimizer)
      EXPECT_TRUE(test::is_same(tensor, y.optimizer.at(name))) << name;
  }

  TempFolder folder;
};

TEST_F(StateFileRuns, EqualRunsInMemoryBitForBitAndResumeInEither) {
  ASSERT_EQ(test::vit(line("memory", "")).code, 0);
  ASSERT_EQ(test::vit(line("file", "state=file")).code, 0);
  expect_equal_runs("file", "memory");
  EXPECT_FALSE(fs::exists(folder / "file/state.bin"));
  // On the CPU, the host's memory is the device's.
  ASSERT_EQ(test::vit(line("host", "state=host")).code, 0);
  expect_equal_runs("host", "memory");
  // Stopped half way in a file, gone on with in memory.
  ASSERT_EQ(test::vit(line("both", "state=file total_steps=15")).code, 0);
  ASSERT_EQ(test::vit(line("both", "state=memory")).code, 0);
  expect_equal_runs("both", "memory");
}

TEST_F(StateFileRuns, KillsAtAnyMomentLoseNothingAndTakeNoHalfUpdatedStateForWhole) {
  ASSERT_EQ(test::vit(line("calm", "")).code, 0);
  const CounterRng random(1, "kills", "");
  int kills = 0;
  for (uint64_t i = 0; i < 6; ++i) {
    // A kill after a random time: while the file is filled, in a step, in a save. (In the
    // background timeout would kill itself as well, and not wait for the program's end.)
    const Ended ended =
        test::shell(concat("timeout --foreground -s KILL ", 0.25 + 0.5 * random.uniform(i), " ",
                           test::program(), " ", line("run", "state=file")));
    kills += ended.code == 137 ? 1 : 0;
    if (ended.code == 0) break;
  }
  EXPECT_GE(kills, 1);
  const Ended last = test::vit(line("run", "state=file"));
  ASSERT_EQ(last.code, 0) << last.err;
  expect_equal_runs("run", "calm");
}

TEST_F(StateFileRuns, AFullDiskEndsWith2BeforeAnyStep) {
  // A limit on file sizes stands for a full disk.
  const Ended ended =
      test::shell("bash -c 'trap \"\" XFSZ; ulimit -f 100; " + test::program() + " " +
                  line("run", "state=file state_path=" + (folder / "s").string()) + "'");
  EXPECT_EQ(ended.code, 2) << ended.err;
  EXPECT_NE(ended.last_line().find("cannot grow to"), std::string::npos) << ended.err;
  EXPECT_FALSE(fs::exists(folder / "s"));
}

TEST_F(StateFileRuns, AnotherRunsStateFileIsRefusedByName) {
  test::write_file(folder / "s", "vit22b state of run /elsewhere, model b16\n");
  const Ended ended = test::vit(line("run", "state=file state_path=" + (folder / "s").string()));
  EXPECT_EQ(ended.code, 2);
  EXPECT_NE(ended.last_line().find("belongs to run /elsewhere, model b16"), std::string::npos)
      << ended.err;
}

TEST_F(StateFileRuns, WhatDoesNotGoTogetherIsRefusedByName) {
  const auto error = [&](const std::string& more) {
    const Ended ended = test::vit(line("run", more));
    EXPECT_EQ(ended.code, 2) << ended.err;
    return ended.err;
  };
  EXPECT_NE(error("accumulate=2").find("use accumulate=1, or update=deferred"), std::string::npos);
  EXPECT_NE(error("update=deferred").find("use optim.clip=exact, or update=now"),
            std::string::npos);
  EXPECT_NE(error("store=sharded").find("use store=resident with"), std::string::npos);
  EXPECT_NE(error("state=file mesh.data=2 --procs 2").find("state=file is of one process"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
