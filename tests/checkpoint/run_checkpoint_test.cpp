#include "checkpoint/run_checkpoint.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "checkpoint/weights.h"
#include "dist/threads.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;

/// Counts the calls that change the disk; at one of them fails with a full disk, or dies as by
/// SIGKILL.
class FaultyDisk : public FileOps {
 public:
  enum class Fault { kFullDisk, kKill };
  FaultyDisk(int64_t fail_at, Fault fault)
      : FileOps(ExitCode::kCheckpoint), fail_at_(fail_at), fault_(fault) {}
  int64_t calls() const { return calls_; }

  int create(const fs::path& p) override { return strike("create", p), FileOps::create(p); }
  void write(int d, std::span<const std::byte> b, const fs::path& p) override {
    if (calls_ == fail_at_ && !b.empty())
      FileOps::write(d, b.first(b.size() / 2), p);  // a short write before the fault
    strike("write", p);
    FileOps::write(d, b, p);
  }
  void make_new_folder(const fs::path& p) override {
    strike("create folder", p), FileOps::make_new_folder(p);
  }
  int open_to_change(const fs::path& p) override {
    return strike("open", p), FileOps::open_to_change(p);
  }
  void write_at(int d, size_t at, std::span<const std::byte> b, const fs::path& p) override {
    if (calls_ == fail_at_ && !b.empty()) FileOps::write_at(d, at, b.first(b.size() / 2), p);
    strike("write", p);
    FileOps::write_at(d, at, b, p);
  }
  void sync(int d, const fs::path& p) override { strike("sync", p), FileOps::sync(d, p); }
  void close(int d, const fs::path& p) override { strike("close", p), FileOps::close(d, p); }
  void sync_folder(const fs::path& p) override { strike("sync", p), FileOps::sync_folder(p); }
  void rename(const fs::path& a, const fs::path& b) override {
    strike("rename", a), FileOps::rename(a, b);
  }
  void exchange(const fs::path& a, const fs::path& b) override {
    strike("exchange", a), FileOps::exchange(a, b);
  }
  void make_folder(const fs::path& p) override {
    strike("create folder", p), FileOps::make_folder(p);
  }
  void remove_all(const fs::path& p) override { strike("remove", p), FileOps::remove_all(p); }
  void symlink(const fs::path& a, const fs::path& b) override {
    strike("link", b), FileOps::symlink(a, b);
  }

 private:
  void strike(const char* operation, const fs::path& path) {
    if (calls_++ != fail_at_) return;
    if (fault_ == Fault::kKill) raise(SIGKILL);
    fail(operation, path, ENOSPC);
  }
  int64_t fail_at_, calls_ = 0;
  Fault fault_;
};

RunCheckpoint make_checkpoint(int64_t step) {
  RunCheckpoint c;
  c.info.config = preset("test8");
  c.info.config.embed_dim = 8;
  c.info.config.depth = 1;
  c.info.config.img_size = {16, 8};
  c.info.config.num_classes = 2;
  c.info.pp_eval = "decode|value_range(-1,1)";
  for (const ParameterRow& row : parameter_table(c.info.config))
    c.weights[row.name] = at::full(row.shape, static_cast<double>(step));
  c.optimizer["momentum/head.bias"] = at::full({2}, static_cast<double>(step)).to(at::kBFloat16);
  c.state.step = step;
  c.state.layout = {{"threads", "2"}};
  return c;
}

/// The step of the latest checkpoint, after checking that all of it belongs to one step; -1 for
/// none.
int64_t loaded_step(const fs::path& root) {
  FileOps ops;
  const fs::path latest = CheckpointFolder(ops, root).latest();
  if (latest.empty()) return -1;
  const RunCheckpoint c = load_run_checkpoint(latest);
  for (const auto& [name, weight] : c.weights)
    if (!weight.eq(static_cast<double>(c.state.step)).all().item<bool>()) return -2;
  return c.optimizer.at("momentum/head.bias")[0].item<double>() == static_cast<double>(c.state.step)
             ? c.state.step
             : -3;
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

int64_t calls_of_a_save(const fs::path& root) {
  FaultyDisk counting(-1, FaultyDisk::Fault::kFullDisk);
  CheckpointFolder(counting, root).save(make_checkpoint(20), true, {.keep_last = 1});
  return counting.calls();
}

TEST(RunCheckpoint, RoundTripsEverything) {
  const TempFolder folder;
  FileOps ops;
  RunCheckpoint c = make_checkpoint(10);
  c.state.examples_seen = 1280;
  c.state.best_metric = 0.25;
  c.state.is_eval_pending = true;
  CheckpointFolder(ops, folder / "ckpt").save(c, true, {});
  const RunCheckpoint again = load_run_checkpoint(folder / "ckpt/latest");
  EXPECT_EQ(again.state.examples_seen, 1280);
  EXPECT_EQ(again.state.best_metric, 0.25);
  EXPECT_TRUE(again.state.is_eval_pending);
  EXPECT_EQ(again.state.layout.at("threads"), "2");
  EXPECT_EQ(again.optimizer.at("momentum/head.bias").scalar_type(), at::kBFloat16);
  EXPECT_EQ(fs::read_symlink(folder / "ckpt/best"), "step-00000010");
}

TEST(RunCheckpoint, RoundTripsWhatTheRunWasMadeOf) {
  const TempFolder folder;
  FileOps ops;
  RunCheckpoint c = make_checkpoint(10);
  c.state.data["train"] = {"names", "contents", 80, {"ant", "bee"}};
  c.state.sources["init_from"] = "hash";
  CheckpointFolder(ops, folder / "ckpt").save(c, false, {});
  const TrainerState again = saved_state(folder / "ckpt/latest").value();
  EXPECT_EQ(again.data, c.state.data);
  EXPECT_EQ(again.sources, c.state.sources);
}

TEST(RunCheckpoint, AnAmendedSaveHasItsTensorsAndTheNewState) {
  const TempFolder folder;
  FileOps ops;
  CheckpointFolder checkpoints(ops, folder / "ckpt");
  RunCheckpoint c = make_checkpoint(10);
  checkpoints.save(c, true, {.keep_last = 1});
  c = make_checkpoint(20);
  c.state.is_eval_pending = true;
  checkpoints.save(c, false, {.keep_last = 1});
  c.state.is_eval_pending = false;
  c.state.best_metric = 0.5;
  checkpoints.amend(c.state, single_process(), true, {.keep_last = 1});
  EXPECT_EQ(loaded_step(folder / "ckpt"), 20);
  const TrainerState again = saved_state(folder / "ckpt/latest").value();
  EXPECT_FALSE(again.is_eval_pending);
  EXPECT_EQ(again.best_metric, 0.5);
  EXPECT_EQ(names_in(folder / "ckpt"), (std::set<std::string>{"best", "latest", "step-00000020"}));
  EXPECT_EQ(fs::read_symlink(folder / "ckpt/best"), "step-00000020");
}

TEST(RunCheckpoint, AFaultWhileASaveIsAmendedKeepsItWhole) {
  for (const auto fault : {FaultyDisk::Fault::kFullDisk, FaultyDisk::Fault::kKill}) {
    for (int64_t at = 0, calls = 1; at < calls; ++at) {
      const TempFolder folder;
      FileOps ops;
      RunCheckpoint c = make_checkpoint(10);
      CheckpointFolder(ops, folder / "ckpt").save(c, false, {});
      const auto amend = [&](FileOps& disk) {
        CheckpointFolder(disk, folder / "ckpt").amend(c.state, single_process(), true, {});
      };
      c.state.best_metric = 0.5;
      if (at == 0) {
        FaultyDisk counting(-1, fault);
        amend(counting);
        calls = counting.calls();
        ASSERT_GT(calls, 10);
        CheckpointFolder(ops, folder / "ckpt").save(make_checkpoint(10), false, {});
      }
      FaultyDisk faulty(at, fault);
      if (fault == FaultyDisk::Fault::kKill) {
        const pid_t child = fork();
        if (child == 0) {
          amend(faulty);
          _exit(0);
        }
        waitpid(child, nullptr, 0);
      } else {
        EXPECT_NE(error_of<UserError>([&] { amend(faulty); }), "(nothing thrown)") << at;
      }
      EXPECT_EQ(loaded_step(folder / "ckpt"), 10) << at;
    }
  }
}

TEST(RunCheckpoint, FullDiskAtAnyCallKeepsALoadableLatest) {
  const TempFolder count_folder;
  const int64_t calls = calls_of_a_save(count_folder / "ckpt");
  ASSERT_GT(calls, 20);
  for (int64_t at = 0; at < calls; ++at) {
    const TempFolder folder;
    FileOps ops;
    CheckpointFolder(ops, folder / "ckpt").save(make_checkpoint(10), true, {});
    FaultyDisk faulty(at, FaultyDisk::Fault::kFullDisk);
    const std::string text = error_of<UserError>([&] {
      CheckpointFolder(faulty, folder / "ckpt").save(make_checkpoint(20), true, {.keep_last = 1});
    });
    EXPECT_NE(text.find("No space left on device"), std::string::npos) << at;
    const int64_t step = loaded_step(folder / "ckpt");
    EXPECT_TRUE(step == 10 || step == 20) << "fault at call " << at << " left " << step;
    CheckpointFolder(ops, folder / "ckpt").clean_leftovers();
    EXPECT_EQ(loaded_step(folder / "ckpt"), step) << at;
  }
}

TEST(RunCheckpoint, KillAtAnyCallKeepsALoadableLatest) {
  const TempFolder count_folder;
  const int64_t calls = calls_of_a_save(count_folder / "ckpt");
  for (int64_t at = 0; at < calls; ++at) {
    const TempFolder folder;
    FileOps ops;
    CheckpointFolder(ops, folder / "ckpt").save(make_checkpoint(10), true, {});
    const pid_t child = fork();
    if (child == 0) {
      FaultyDisk faulty(at, FaultyDisk::Fault::kKill);
      CheckpointFolder(faulty, folder / "ckpt").save(make_checkpoint(20), true, {.keep_last = 1});
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << at;
    const int64_t step = loaded_step(folder / "ckpt");
    EXPECT_TRUE(step == 10 || step == 20) << "kill at call " << at << " left " << step;
    CheckpointFolder(ops, folder / "ckpt").clean_leftovers();
    CheckpointFolder(ops, folder / "ckpt").save(make_checkpoint(30), false, {.keep_last = 1});
    EXPECT_EQ(loaded_step(folder / "ckpt"), 30) << at;
  }
}

// `model init` writes into the folder that people read.
TEST(WriteModel, AFullDiskAtAnyCallLeavesNoPartOfAFile) {
  const RunCheckpoint c = make_checkpoint(1);
  for (int64_t call = 0;; ++call) {
    const TempFolder folder;
    FaultyDisk disk(call, FaultyDisk::Fault::kFullDisk);
    Manifest manifest;
    try {
      write_model(disk, folder.path(), c.info, c.weights, manifest);
    } catch (const UserError&) {
      for (const auto& entry : fs::directory_iterator(folder.path()))
        EXPECT_FALSE(is_temporary_name(entry.path().filename().string())) << call;
      if (fs::exists(folder / "model.safetensors")) SafetensorsFile(folder / "model.safetensors");
      continue;
    }
    EXPECT_GT(call, 5);
    break;
  }
}

TEST(RunCheckpoint, SavingAStepAgainSwapsItWhole) {
  const TempFolder folder;
  FileOps ops;
  CheckpointFolder checkpoints(ops, folder / "ckpt");
  checkpoints.save(make_checkpoint(10), false, {});
  RunCheckpoint again = make_checkpoint(10);
  again.state.examples_seen = 7;
  checkpoints.save(again, false, {});
  EXPECT_EQ(load_run_checkpoint(folder / "ckpt/latest").state.examples_seen, 7);
  EXPECT_EQ(names_in(folder / "ckpt"), (std::set<std::string>{"latest", "step-00000010"}));
}

// NAME.tmp and a step that has no save of ours in it are somebody else's.
TEST(RunCheckpoint, NothingOfOthersIsReplacedOrCleanedAway) {
  const TempFolder folder;
  FileOps ops;
  CheckpointFolder checkpoints(ops, folder / "ckpt");
  test::write_file(folder / "ckpt/step-00000010.tmp/thesis.txt", "precious");
  test::write_file(folder / "ckpt/step-00000005/thesis.txt", "precious");
  test::write_file(folder / "ckpt/step-00000020/thesis.txt", "precious");
  test::write_file(folder / "victim/thesis.txt", "precious");
  fs::create_symlink(folder / "victim", folder / "ckpt/latest.tmp");
  EXPECT_TRUE(checkpoints.clean_leftovers().empty());
  checkpoints.save(make_checkpoint(10), false, {.keep_last = 1});
  EXPECT_NE(error_of<CheckpointError>([&] {
              checkpoints.save(make_checkpoint(20), false, {.keep_last = 1});
            }).find("is no checkpoint of this program"),
            std::string::npos);
  EXPECT_EQ(checkpoints.clean_leftovers().size(), 1U);
  for (const char* place :
       {"ckpt/step-00000010.tmp", "ckpt/step-00000005", "ckpt/step-00000020", "victim"})
    EXPECT_EQ(test::read_file(folder / place / "thesis.txt"), "precious") << place;
  EXPECT_TRUE(fs::is_symlink(folder / "ckpt/latest.tmp"));
  EXPECT_EQ(loaded_step(folder / "ckpt"), 10);
}

TEST(RecordedFolder, LeavesNameTmpAloneAndFollowsALink) {
  const TempFolder folder;
  FileOps ops;
  const auto fill = [&](const fs::path& beside, Manifest& manifest) {
    write_recorded_text(ops, beside, "a", "text", manifest);
  };
  test::write_file(folder / "new.tmp/thesis.txt", "precious");
  make_recorded_folder(ops, folder / "new/", fill);
  EXPECT_EQ(test::read_file(folder / "new.tmp/thesis.txt"), "precious");
  EXPECT_EQ(read_manifest(folder / "new").size(), 1U);
  fs::create_directory(folder / "empty");
  fs::create_symlink("empty", folder / "link");
  make_recorded_folder(ops, folder / "link", fill);
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(test::read_file(folder / "empty/a"), "text");
}

TEST(RecordedFolder, AFolderMadeMeanwhileByAnotherStays) {
  const TempFolder folder;
  FileOps ops;
  EXPECT_NE(error_of<UserError>([&] {
              make_recorded_folder(ops, folder / "new", [&](const fs::path&, Manifest&) {
                test::write_file(folder / "new/thesis.txt", "precious");
              });
            }),
            "(nothing thrown)");
  EXPECT_EQ(names_in(folder.path()), (std::set<std::string>{"new"}));
  EXPECT_EQ(test::read_file(folder / "new/thesis.txt"), "precious");
}

TEST(RunCheckpoint, PruningKeepsLatestBestAndMilestones) {
  const TempFolder folder;
  FileOps ops;
  CheckpointFolder checkpoints(ops, folder / "ckpt");
  for (int64_t step = 10; step <= 60; step += 10)
    checkpoints.save(make_checkpoint(step), step == 20, {.keep_last = 2, .keep_every_steps = 30});
  EXPECT_EQ(names_in(folder / "ckpt"),
            (std::set<std::string>{"best", "latest", "step-00000020", "step-00000030",
                                   "step-00000050", "step-00000060"}));
}

TEST(RunCheckpoint, EveryFlippedByteIsDetectedBeforeUse) {
  const TempFolder folder;
  FileOps ops;
  CheckpointFolder(ops, folder / "ckpt").save(make_checkpoint(10), false, {});
  const fs::path step = folder / "ckpt/step-00000010";
  for (const char* name :
       {"model.safetensors", "optimizer.safetensors", "config.json", "trainer.json"}) {
    const std::string whole = test::read_file(step / name);
    const size_t stride = std::max<size_t>(1, whole.size() / 97);
    for (size_t at = 0; at < whole.size(); at += stride) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ 1);
      test::write_file(step / name, flipped);
      EXPECT_NE(error_of<CheckpointError>([&] { load_run_checkpoint(step); }), "(nothing thrown)")
          << name << " byte " << at;
    }
    test::write_file(step / name, whole);
  }
  EXPECT_EQ(loaded_step(folder / "ckpt"), 10);
}

// Each of three ranks reads some of the tensors; together they read every byte.
TEST(RunCheckpoint, DamageThatOneRankFindsIsToldByAll) {
  const TempFolder folder;
  FileOps ops;
  CheckpointFolder(ops, folder / "ckpt").save(make_checkpoint(10), true, {});
  const fs::path step = fs::canonical(folder / "ckpt/latest");
  for (const char* name : {"model.safetensors", "trainer.json", "config.json"}) {
    const std::string whole = test::read_file(step / name);
    const size_t parts = name == std::string("model.safetensors") ? 40 : 3;
    for (size_t part = 0; part < parts; ++part) {
      std::string damaged = whole;
      damaged[(part * 2 + 1) * whole.size() / (parts * 2)] ^= 1;
      test::write_file(step / name, damaged);
      const std::string want = error_of<CheckpointError>([&] { verify_manifest(step); });
      EXPECT_NE(want, "(nothing thrown)");
      run_as_threads(3, [&](const std::shared_ptr<Transport>& transport) {
        const Mesh mesh = make_mesh(transport, {3, 1}, 30);
        EXPECT_EQ(error_of<CheckpointError>([&] { verify_manifest(step, mesh); }), want);
      });
    }
    test::write_file(step / name, whole);
  }
}

TEST(RunCheckpoint, DamageNamesTheTensor) {
  const TempFolder folder;
  FileOps ops;
  CheckpointFolder(ops, folder / "ckpt").save(make_checkpoint(10), false, {});
  const fs::path file = folder / "ckpt/step-00000010/model.safetensors";
  std::string bytes = test::read_file(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  test::write_file(file, bytes);
  EXPECT_NE(error_of<CheckpointError>([&] {
              load_run_checkpoint(file.parent_path());
            }).find("tensor 'head.bias' is damaged"),
            std::string::npos);
  test::write_file(file, bytes.substr(0, bytes.size() / 2));
  EXPECT_NE(error_of<CheckpointError>([&] {
              load_run_checkpoint(file.parent_path());
            }).find("is cut short or changed"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
