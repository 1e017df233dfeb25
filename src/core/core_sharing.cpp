#include "core/core_sharing.h"

#include <omp.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>

namespace vit22b {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{100};
// Of the time of all computing threads. Threads that read data take their share as well, but less.
constexpr double kShared = 0.1;
// Looks without waiting after which the cores are this program's again.
constexpr int kCalmLooks = 10;

/// A team whose threads sleep, beside the one that computes; with it there are more threads than
/// processors.
class SleepingTeam {
 public:
  explicit SleepingTeam(int threads) : thread_([this, threads] { run(threads); }) {}
  ~SleepingTeam() {
    {
      const std::lock_guard lock(mutex_);
      is_ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  SleepingTeam(const SleepingTeam&) = delete;
  SleepingTeam& operator=(const SleepingTeam&) = delete;

 private:
  void run(int threads) {
    pthread_setname_np(pthread_self(), "sleepers");
    // Each counts itself: a region without work would be no region.
    std::atomic<int> members{0};
#pragma omp parallel num_threads(threads)
    ++members;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_ending_; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_ending_ = false;
  std::thread thread_;
};

}  // namespace

double seconds_waited_for_processors() {
  double all = -1;
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator("/proc/self/task", error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    std::ifstream file(it->path() / "schedstat");
    double ran = 0, waited = 0;
    if (file >> ran >> waited) all = std::max(all, 0.0) + waited * 1e-9;
  }
  return all;
}

struct CoreSharing::Watch {
  explicit Watch(int64_t threads) : team_threads(threads), thread([this] { run(); }) {}
  ~Watch() {
    {
      const std::lock_guard lock(mutex);
      is_ending = true;
    }
    changed.notify_all();
    thread.join();
  }

  void run() {
    pthread_setname_np(pthread_self(), "core sharing");
    std::optional<SleepingTeam> team;
    int calm_looks = 0;
    double waited = seconds_waited_for_processors();
    auto looked = Clock::now();
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, kLook, [this] { return is_ending; })) {
      const double now_waited = seconds_waited_for_processors();
      const auto now = Clock::now();
      const double seconds = std::chrono::duration<double>(now - looked).count();
      // Threads that have ended took what they waited with them.
      const bool is_shared =
          now_waited - waited > kShared * seconds * static_cast<double>(team_threads);
      waited = now_waited;
      looked = now;
      calm_looks = is_shared ? 0 : calm_looks + 1;
      if (is_shared && !team) team.emplace(omp_get_num_procs() + 1);
      if (team && calm_looks >= kCalmLooks) team.reset();
    }
  }

  const int64_t team_threads;
  std::mutex mutex;
  std::condition_variable changed;
  bool is_ending = false;
  std::thread thread;
};

CoreSharing::CoreSharing(int64_t threads) {
  if (threads < 2 || std::getenv("OMP_WAIT_POLICY") != nullptr ||
      std::getenv("GOMP_SPINCOUNT") != nullptr || seconds_waited_for_processors() < 0)
    return;
  watch_ = std::make_unique<Watch>(threads);
}

CoreSharing::~CoreSharing() = default;

}  // namespace vit22b
