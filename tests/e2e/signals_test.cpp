#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "core/text.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/program.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using test::TempFolder;

/// The program, started by a shell that becomes it, and what signals do to it.
class Started {
 public:
  /// before  what the shell does first
  explicit Started(const std::string& arguments, const std::string& before = "") {
    const std::string line = before + " exec " + test::program() + " " + arguments + " >" +
                             (folder_ / "out").string() + " 2>" + (folder_ / "err").string();
    child_ = fork();
    if (child_ == 0) {
      execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
      _exit(127);
    }
  }
  ~Started() {
    if (child_ > 0) kill(child_, SIGKILL), waitpid(child_, nullptr, 0);
  }
  Started(const Started&) = delete;
  Started& operator=(const Started&) = delete;

  void send(int signal) const { kill(child_, signal); }
  std::string err() const { return test::read_file(folder_ / "err"); }

  /// The exit code as a shell has it; -1 where it goes on for longer.
  int end_within(double seconds) {
    const auto until = Clock::now() + std::chrono::duration<double>(seconds);
    while (Clock::now() < until) {
      int status = 0;
      if (waitpid(child_, &status, WNOHANG) == child_) {
        child_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
      usleep(10'000);
    }
    return -1;
  }
  /// Waits until the program has installed its handlers, which it does before any work.
  void wait_until_it_listens() const {
    constexpr int kMostLooks = 2000;
    for (int i = 0; i < kMostLooks; ++i) {
      // The bit of SIGUSR2 (12) among the signals that are caught.
      const std::string status = test::read_file(concat("/proc/", child_, "/status"));
      const size_t at = status.find("SigCgt:");
      if (at != std::string::npos &&
          (std::stoull(status.substr(at + 7), nullptr, 16) >> (SIGUSR2 - 1) & 1) != 0)
        return;
      usleep(10'000);
    }
  }

 private:
  TempFolder folder_;
  pid_t child_ = -1;
};

/// A run that lasts, and a command that waits for ever for a picture.
class Signals : public testing::Test {
 protected:
  void SetUp() override {
    test::write_idx(folder_ / "data", "train", 90);
    test::write_file(folder_ / "c.toml",
                     "total_steps = 100000\nlog_steps = 1\neval_steps = 0\nckpt_steps = 0\n"
                     "threads = 1\n[model]\nname = \"test8\"\nimg_size = 16\nin_chans = 1\n"
                     "[data]\nsource = \"idx\"\nroot = \"" +
                         (folder_ / "data").string() +
                         "\"\nbatch_size = 8\nval = \"\"\npp_train = \"value_range(-1,1)\"\n"
                         "pp_eval = \"value_range(-1,1)\"\n");
  }
  std::string train_line() const {
    return "train " + (folder_ / "c.toml").string() + " -q --out " + (folder_ / "run").string();
  }
  void wait_for_steps() const {
    constexpr int kMostLooks = 2000;
    std::error_code error;
    for (int i = 0; i < kMostLooks; ++i) {
      if (fs::file_size(folder_ / "run/metrics.jsonl", error) > 2000 && !error) return;
      usleep(10'000);
    }
  }
  TempFolder folder_;
};

TEST_F(Signals, HangUpSavesAndEndsWith75AndNotUnderNohup) {
  Started run(train_line());
  wait_for_steps();
  run.send(SIGHUP);
  EXPECT_EQ(run.end_within(60), 75);
  EXPECT_NE(run.err().find("stopped by SIGHUP"), std::string::npos) << run.err();
  EXPECT_TRUE(fs::exists(folder_ / "run/ckpt/latest/manifest.json"));

  Started kept(train_line(), "trap '' HUP;");
  kept.wait_until_it_listens();
  kept.send(SIGHUP);
  EXPECT_EQ(kept.end_within(2), -1);
  kept.send(SIGTERM);
  EXPECT_EQ(kept.end_within(60), 75);
}

TEST_F(Signals, TheSameRequestTwiceIsOne) {
  Started run(train_line());
  wait_for_steps();
  run.send(SIGTERM);
  run.send(SIGTERM);
  EXPECT_EQ(run.end_within(60), 75);
}

TEST_F(Signals, ASecondTermEndsAnyCommandAtOnce) {
  // Minutes of work that looks at no signal.
  for (const char* what : {"gemm", "attention", "block"}) {
    Started deaf(concat("bench ", what, " l16 --batch 64 --threads 1"));
    deaf.wait_until_it_listens();
    deaf.send(SIGTERM);
    ASSERT_EQ(deaf.end_within(0.5), -1) << what << " has ended; give it more work";
    deaf.send(SIGTERM);
    EXPECT_EQ(deaf.end_within(5), 128 + SIGTERM) << what;
  }
}

TEST(SlowSignals, WhatHasNothingToSaveEndsWithin30SecondsOfTheFirst) {
  Started deaf("bench gemm l16 --batch 256 --threads 1");
  deaf.wait_until_it_listens();
  deaf.send(SIGTERM);
  EXPECT_EQ(deaf.end_within(20), -1);
  EXPECT_EQ(deaf.end_within(10), 128 + SIGTERM);
}

}  // namespace
}  // namespace vit22b
