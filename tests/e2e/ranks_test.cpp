#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "checkpoint/run_checkpoint.h"
#include "core/rng.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/program.h"
#include "support/tensors.h"

// Ranks as real processes under OpenMPI, and what becomes of a run when one of them is lost.
namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::Ended;
using test::TempFolder;
using namespace std::chrono_literals;

constexpr double kDeadlineS = 3;

/// A folder with data/ and a config of a small model; `train` gives the arguments of a run in it.
class Ranks : public testing::Test {
 protected:
  Ranks() {
    test::write_idx(folder / "data", "train", 90, 10);
    test::write_file(folder / "c.toml", R"toml(total_steps = 20
ckpt_steps = 5
log_steps = 1
eval_steps = 1000
threads = 1
seed = 3
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
pp_train = "flip_lr|value_range(-1,1)"
pp_eval = "value_range(-1,1)"
[optim]
name = "adamw"
[schedule]
name = "constant"
)toml");
  }

  std::string train(const std::string& run, const std::string& more) const {
    return concat("train ", (folder / "c.toml").string(), " data.root=", (folder / "data").string(),
                  " --out ", (folder / run).string(), " mesh.deadline_s=", kDeadlineS, " ", more);
  }
  fs::path latest(const std::string& run) const { return folder / run / "ckpt/latest"; }

  std::vector<double> losses(const std::string& run) const {
    std::vector<double> all;
    for (const std::string& line : split(test::read_file(folder / run / "metrics.jsonl"), '\n'))
      if (!line.empty() && nlohmann::json::parse(line).contains("training_loss"))
        all.push_back(nlohmann::json::parse(line)["training_loss"].get<double>());
    return all;
  }

  TempFolder folder;
};

/// The processes of a run's ranks, by rank: the program's own with that --out, without mpirun.
std::map<int64_t, pid_t> ranks_of(const fs::path& out) {
  std::map<int64_t, pid_t> ranks;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string line = test::read_file(entry.path() / "cmdline");
    if (!line.starts_with(test::program()) || line.find(out.string()) == std::string::npos)
      continue;
    const std::string environment = test::read_file(entry.path() / "environ");
    const std::string key = "OMPI_COMM_WORLD_RANK=";
    if (const size_t at = environment.find(key); at != std::string::npos)
      ranks[std::stoll(environment.substr(at + key.size()))] = static_cast<pid_t>(std::stoi(name));
  }
  return ranks;
}

/// Waits until a condition holds; false after a minute.
bool wait_until(const std::function<bool()>& condition) {
  for (int i = 0; i < 12'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

/// Runs a line in the background.
class Background {
 public:
  explicit Background(const std::string& line)
      : thread_([this, line] { ended_ = test::shell(line); }) {}
  const Ended& wait() {
    thread_.join();
    return ended_;
  }

 private:
  Ended ended_;
  std::thread thread_;
};

const std::string kMpirun =
    "mpirun --allow-run-as-root --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 ";

/// How far any mesh of processes may stray from one process. Adafactor's bfloat16 momentum turns
/// rounding into whole ulps, so its weights are compared as a whole.
struct Closeness {
  double loss, tensor, model;
};
constexpr Closeness kPlain{1e-5, 1e-4, 1e-4}, kAdafactor{1e-4, 1, 5e-4};

class MeshOfProcesses : public Ranks {
 protected:
  void expect_equal_on(const std::vector<std::string>& meshes, const std::string& options,
                       const Closeness& closeness) {
    ASSERT_EQ(test::vit(train("one", options)).code, 0);
    const std::vector<double> want = losses("one");
    const RunCheckpoint one = load_run_checkpoint(latest("one"));
    for (const std::string& mesh : meshes) {
      const std::vector<std::string> words = split(mesh, ' ');
      const std::string run = join(words, "-");
      const Ended ended = test::vit(train(
          run, concat("mesh.data=", words[0], " mesh.model=", words[1], " store=", words[2], " ",
                      options, " --json --procs ", std::stoi(words[0]) * std::stoi(words[1]))));
      ASSERT_EQ(ended.code, 0) << ended.err;
      EXPECT_EQ(nlohmann::json::parse(ended.out)["step"], 20);
      const std::vector<double> got = losses(run);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_NEAR(got[i], want[i], closeness.loss * want[i]) << run;
      expect_close(load_run_checkpoint(latest(run)).weights, one.weights, closeness, run);
    }
  }

 private:
  static void expect_close(const NamedTensors& got, const NamedTensors& want,
                           const Closeness& closeness, const std::string& run) {
    double apart = 0, whole = 0;
    for (const auto& [name, tensor] : want) {
      if (name == "attn_pool.kv.bias") continue;  // half of it has no gradient but rounding's
      const double difference = (got.at(name) - tensor).norm().item<double>(),
                   size = tensor.norm().item<double>();
      EXPECT_LE(difference, closeness.tensor * size) << run << " " << name;
      apart += difference * difference;
      whole += size * size;
    }
    EXPECT_LE(std::sqrt(apart), closeness.model * std::sqrt(whole)) << run;
  }
};

const std::vector<std::string> kMeshes = {"2 1 resident", "2 1 sharded", "1 2 resident",
                                          "2 2 sharded", "2 2 resident"};

TEST_F(MeshOfProcesses, TrainsAsOneProcessDoes) {
  expect_equal_on(kMeshes, "engine=fused optim.name=adamw", kPlain);
}

class SlowMeshOfProcesses : public MeshOfProcesses {};

TEST_F(SlowMeshOfProcesses, OfOneAxisTrainsAsOneProcessDoes) {
  for (const std::string engine : {"fused", "reference"})
    expect_equal_on({"4 1 resident", "4 1 sharded", "1 4 resident", "1 3 resident"},
                    "optim.name=adamw --no-resume engine=" + engine, kPlain);
}

TEST_F(SlowMeshOfProcesses, TrainsAsOneProcessDoesWithAdamWOnTheReference) {
  expect_equal_on(kMeshes, "engine=reference optim.name=adamw", kPlain);
}

TEST_F(SlowMeshOfProcesses, TrainsAsOneProcessDoesWithSgd) {
  for (const std::string engine : {"fused", "reference"})
    expect_equal_on(kMeshes, "optim.name=sgd --no-resume engine=" + engine, kPlain);
}

TEST_F(SlowMeshOfProcesses, TrainsAsOneProcessDoesWithAdafactor) {
  for (const std::string engine : {"fused", "reference"})
    expect_equal_on(kMeshes, "optim.name=adafactor --no-resume engine=" + engine, kAdafactor);
}

TEST_F(Ranks, UnderAUsersOwnMpirunTheyTrainToo) {
  const Ended ended =
      test::shell(kMpirun + "-n 2 " + test::program() + " " + train("run", "mesh.data=2"));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(load_run_checkpoint(latest("run")).state.step, 20);
  EXPECT_NE(ended.err.find("[rank 0] mesh: 2 x 1 ranks"), std::string::npos) << ended.err;
}

TEST_F(Ranks, EvaluationsShareTheirSamples) {
  test::write_idx(folder / "data", "test", 37, 10);
  ASSERT_EQ(test::vit(train("run", "")).code, 0);
  const std::string line = "eval " + (folder / "run").string() + " --json --batch 4";
  const Ended one = test::vit(line);
  const Ended three = test::shell(kMpirun + "-n 3 " + test::program() + " " + line);
  ASSERT_EQ(three.code, 0) << three.err;
  const auto a = nlohmann::json::parse(one.out), b = nlohmann::json::parse(three.out);
  EXPECT_EQ(b["num_examples"], 37);
  EXPECT_EQ(a["confusion"], b["confusion"]);
  EXPECT_NEAR(a["nll"].get<double>(), b["nll"].get<double>(), 1e-6 * a["nll"].get<double>());
}

TEST_F(Ranks, MeshesThatDoNotFitAreRefusedBeforeAnyWork) {
  const Ended ended = test::vit(train("run", "mesh.data=3 mesh.model=2 --procs 4"));
  EXPECT_EQ(ended.code, 2);
  EXPECT_NE(ended.err.find("wants 6 ranks, there are 4; use mesh.data=4 mesh.model=1, or "
                           "mesh.data=2 mesh.model=2, or mesh.data=1 mesh.model=4"),
            std::string::npos)
      << ended.err;
  EXPECT_FALSE(fs::exists(folder / "run"));
}

TEST_F(Ranks, CpuRanksUnderTorchrunAreRefusedWithTheLineToUse) {
  const Ended ended = test::vit(train("run", ""),
                                "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 "
                                "LOCAL_WORLD_SIZE=2 MASTER_ADDR=localhost "
                                "MASTER_PORT=1");
  EXPECT_EQ(ended.code, 2);
  EXPECT_NE(ended.last_line().find("torchrun starts GPU ranks; for ranks on CPUs use: mpirun -n 2"),
            std::string::npos)
      << ended.err;
}

TEST_F(Ranks, WithoutMpirunProcsIsAClearError) {
  const Ended ended = test::vit(train("run", "--procs 2"), "PATH=/nowhere");
  EXPECT_EQ(ended.code, 2);
  EXPECT_NE(ended.last_line().find("--procs needs OpenMPI's mpirun, which is not in PATH"),
            std::string::npos)
      << ended.err;
}

TEST_F(Ranks, ASingleProcessNeedsNeitherMpiNorNccl) {
  const Ended ended = test::shell("ldd " + test::program());
  EXPECT_EQ(ended.code, 0);
  for (const char* library : {"libmpi", "libnccl", "libopen-"})
    EXPECT_EQ(ended.out.find(library), std::string::npos) << ended.out;
}

/// A long run of four ranks that something happens to.
class Faults : public Ranks {
 protected:
  static constexpr const char* kMesh = "mesh.data=2 mesh.model=2 store=sharded ";

  // Starts the run, waits for a moment, does the thing, and waits for the end.
  Ended disturb(const std::string& run, const std::function<bool()>& moment,
                const std::function<void(const std::map<int64_t, pid_t>&)>& act,
                const std::string& more = "") {
    Background background(test::program() + " " +
                          train(run, kMesh + ("total_steps=400 --procs 4 " + more)));
    EXPECT_TRUE(wait_until([&] { return fs::exists(folder / run / "metrics.jsonl") && moment(); }));
    act(ranks_of(folder / run));
    return background.wait();
  }
  bool has_logged(const std::string& run, size_t lines) const {
    const std::string text = test::read_file(folder / run / "metrics.jsonl");
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) >= lines;
  }
  // Goes on to a step, and compares with a run that nothing happened to.
  void expect_to_go_on(const std::string& run, int64_t total) {
    const std::string to_total = kMesh + concat("--procs 4 total_steps=", total);
    ASSERT_EQ(test::vit(train("calm", to_total)).code, 0);
    const Ended again = test::vit(train(run, to_total));
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(losses(run), losses("calm"));
    const RunCheckpoint a = load_run_checkpoint(latest(run)),
                        b = load_run_checkpoint(latest("calm"));
    for (const auto& [name, tensor] : b.weights)
      EXPECT_TRUE(test::is_same(a.weights.at(name), tensor)) << name;
  }
};

TEST_F(Faults, AKilledRankIsNamedEndsTheRunWith6AndNothingIsLost) {
  const Ended ended = disturb(
      "run", [&] { return has_logged("run", 23); },
      [](const auto& ranks) { kill(ranks.at(2), SIGKILL); });
  EXPECT_EQ(ended.code, 6) << ended.err;
  EXPECT_NE(ended.err.find("error: rank 2 (process "), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("could not"), std::string::npos);
  EXPECT_NE(ended.last_line().find("of 4 ranks 2 were lost"), std::string::npos) << ended.err;
  const int64_t step = load_run_checkpoint(latest("run")).state.step;
  EXPECT_EQ(step % 5, 0);  // nobody has saved after the loss
  expect_to_go_on("run", step + 7);
}

TEST_F(Faults, AKillWhileTheOthersWaitInACollectiveEndsThemAll) {
  const Ended ended = disturb(
      "run", [&] { return has_logged("run", 8); },
      [](const std::map<int64_t, pid_t>& ranks) {
        kill(ranks.at(1), SIGSTOP);
        std::this_thread::sleep_for(500ms);  // a step takes milliseconds: all others wait for it
        kill(ranks.at(1), SIGKILL);
      });
  EXPECT_EQ(ended.code, 6) << ended.err;
  EXPECT_NE(ended.err.find("error: rank 1 (process "), std::string::npos) << ended.err;
  EXPECT_NE(ended.last_line().find("of 4 ranks 1 were lost"), std::string::npos) << ended.err;
  expect_to_go_on("run", load_run_checkpoint(latest("run")).state.step + 6);
}

TEST_F(Faults, AKillInsideACheckpointLeavesTheOneBefore) {
  const auto is_saving = [&] {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder / "run/ckpt", error))
      if (entry.path().extension() == ".tmp" && has_logged("run", 6)) return true;
    return false;
  };
  const Ended ended =
      disturb("run", is_saving, [](const auto& ranks) { kill(ranks.at(1), SIGKILL); });
  EXPECT_EQ(ended.code, 6) << ended.err;
  expect_to_go_on("run", load_run_checkpoint(latest("run")).state.step + 6);
}

TEST_F(Faults, AStoppedRankIsLostAfterTheDeadlineAndWaitersIdle) {
  double idle_share = 1;
  std::chrono::steady_clock::time_point stopped;
  const Ended ended = disturb(
      "run", [&] { return has_logged("run", 8); },
      [&](const std::map<int64_t, pid_t>& ranks) {
        stopped = std::chrono::steady_clock::now();
        kill(ranks.at(3), SIGSTOP);
        std::this_thread::sleep_for(500ms);  // the others have come to wait
        const auto ticks = [&] {
          const std::string stat = test::read_file(concat("/proc/", ranks.at(0), "/stat"));
          const std::vector<std::string> fields = split(stat.substr(stat.rfind(')') + 2), ' ');
          return std::stod(fields.at(11)) + std::stod(fields.at(12));
        };
        const double before = ticks();
        std::this_thread::sleep_for(1500ms);
        idle_share = (ticks() - before) / static_cast<double>(sysconf(_SC_CLK_TCK)) / 1.5;
      });
  EXPECT_EQ(ended.code, 6) << ended.err;
  EXPECT_NE(ended.err.find("error: rank 3 (process "), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("has been silent for 2.25 s"), std::string::npos) << ended.err;
  // Survivors leave at the deadline; then those that do not answer are ended.
  EXPECT_LT(std::chrono::steady_clock::now() - stopped, 30s);
  EXPECT_LT(idle_share, 0.05);
  std::printf("a waiting rank used %.1f %% of a core\n", 100 * idle_share);
}

TEST_F(Faults, TermToOneRankStopsAllWithTheCheckpointSaved) {
  const Ended ended = disturb(
      "run", [&] { return has_logged("run", 8); },
      [](const auto& ranks) { kill(ranks.at(3), SIGTERM); });
  EXPECT_EQ(ended.code, 75) << ended.err;
  EXPECT_NE(ended.err.find("[rank 3] warning: stopped by SIGTERM"), std::string::npos) << ended.err;
  expect_to_go_on("run", load_run_checkpoint(latest("run")).state.step + 6);
}

TEST_F(Faults, EachRankEndsWith6ByItself) {
  Background background(kMpirun + "--enable-recovery -n 3 sh -c '" + test::program() + " " +
                        train("run", "total_steps=400 mesh.model=3") + "; echo $? >" +
                        (folder / "code").string() + ".$OMPI_COMM_WORLD_RANK'");
  ASSERT_TRUE(
      wait_until([&] { return fs::exists(folder / "run/metrics.jsonl") && has_logged("run", 8); }));
  kill(ranks_of(folder / "run").at(1), SIGKILL);
  background.wait();
  EXPECT_EQ(test::read_file(folder / "code.0"), "6\n");
  EXPECT_EQ(test::read_file(folder / "code.2"), "6\n");
}

TEST_F(Faults, UnderAUsersMpirunTheLostRankIsNamedBeforeMpirunEndsTheOthers) {
  Background background(kMpirun + "-n 2 " + test::program() + " " +
                        train("run", "total_steps=400 mesh.data=2"));
  ASSERT_TRUE(
      wait_until([&] { return fs::exists(folder / "run/metrics.jsonl") && has_logged("run", 8); }));
  kill(ranks_of(folder / "run").at(1), SIGKILL);
  const Ended& ended = background.wait();
  EXPECT_NE(ended.code, 0);
  EXPECT_NE(ended.err.find("[rank 0] error: rank 1 (process "), std::string::npos) << ended.err;
}

TEST_F(Faults, AFullDiskOfOneRankEndsAllWith4AndKeepsTheCheckpoint) {
  ASSERT_EQ(test::vit(train("run", "total_steps=5 mesh.data=3 --procs 3 data.batch_size=18")).code,
            0);
  // A limit on file sizes stands for a full disk, on rank 2 alone.
  const Ended ended = test::shell(
      kMpirun +
      "--enable-recovery -n 3 bash -c 'if [ $OMPI_COMM_WORLD_RANK = 2 ]; then trap \"\" XFSZ; "
      "ulimit -f 30; fi; " +
      test::program() + " " + train("run", "total_steps=15 mesh.data=3 data.batch_size=18") +
      "; echo $? >" + (folder / "code").string() + ".$OMPI_COMM_WORLD_RANK'");
  for (const char* rank : {"0", "1", "2"})
    EXPECT_EQ(test::read_file(folder / (std::string("code.") + rank)), "4\n") << ended.err;
  EXPECT_NE(ended.err.find("cannot write"), std::string::npos) << ended.err;
  EXPECT_EQ(load_run_checkpoint(latest("run")).state.step, 5);
}

TEST_F(Faults, ACorruptedSampleOfOneRankEndsAllWith3AndIsListed) {
  for (const char* name : {"a", "b"})
    for (int i = 0; i < 8; ++i)
      test::write_file(folder / concat("images/train/", name, "/", i, ".png"),
                       i == 5 && *name == 'b' ? "not a picture" : "");
  // Every file is empty or worse: any share of the samples finds one that cannot be used.
  const Ended ended =
      test::vit(train("run", "data.source=folder data.root=" + (folder / "images").string() +
                                 " data.val= data.max_bad_fraction=0 mesh.data=2 --procs 2"));
  EXPECT_EQ(ended.code, 3) << ended.err;
  EXPECT_TRUE(fs::exists(folder / "run/bad_samples.txt"));
}

class SlowFaults : public Faults {};

TEST_F(SlowFaults, FiftyKillsAtRandomMomentsLoseNothing) {
  const CounterRng random(1, "kills", "");
  size_t lines = 0;
  for (uint64_t i = 0; i < 50; ++i) {
    const Ended ended = disturb(
        "run", [&] { return has_logged("run", lines + 1); },
        [&](const std::map<int64_t, pid_t>& ranks) {
          std::this_thread::sleep_for(std::chrono::milliseconds(random.below(2 * i, 700)));
          const auto rank = static_cast<int64_t>(random.below(2 * i + 1, 4));
          if (ranks.count(rank) != 0) kill(ranks.at(rank), SIGKILL);
        },
        "total_steps=100000");
    ASSERT_EQ(ended.code, 6) << "kill " << i << "\n" << ended.err;
    lines = losses("run").size();
    if (fs::exists(latest("run"))) {
      ASSERT_EQ(load_run_checkpoint(latest("run")).state.step % 5, 0) << "kill " << i;
    }
  }
  expect_to_go_on("run", load_run_checkpoint(latest("run")).state.step + 7);
}

}  // namespace
}  // namespace vit22b
