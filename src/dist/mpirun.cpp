#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <map>
#include <thread>

#include "core/file.h"
#include "core/log.h"
#include "core/signals.h"
#include "dist/launch.h"
#include "dist/lost.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// How long ranks may go on after the first of them has failed.
constexpr auto kGrace = std::chrono::seconds(5);
constexpr auto kLookEvery = std::chrono::milliseconds(50);

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "vit22b-ranks-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      throw UsageError("cannot make a folder in ", fs::temp_directory_path().string(), ": ",
                       std::strerror(errno));
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string find_mpirun() {
  const char* path = std::getenv("PATH");
  for (const std::string& folder : split(path != nullptr ? path : "", ':'))
    if (::access((folder + "/mpirun").c_str(), X_OK) == 0) return folder + "/mpirun";
  throw UsageError(
      "--procs needs OpenMPI's mpirun, which is not in PATH; install it (Debian: openmpi-bin), or "
      "run one process without --procs");
}

// Ranks stay where the system puts them, give their core up while they wait, and go on when one of
// them dies, so that each can say so itself.
std::vector<std::string> mpirun_line(int64_t count, const fs::path& ends,
                                     const std::vector<std::string>& arguments) {
  std::vector<std::string> line = {
      find_mpirun(),     "-n",    std::to_string(count), "--bind-to", "none",
      "--oversubscribe", "--mca", "mpi_yield_when_idle", "1",         "--enable-recovery"};
  if (geteuid() == 0) line.emplace_back("--allow-run-as-root");
  line.push_back(fs::read_symlink("/proc/self/exe").string());
  line.insert(line.end(), {"--ends", ends.string()});
  line.insert(line.end(), arguments.begin(), arguments.end());
  return line;
}

pid_t start(const std::vector<std::string>& line) {
  std::vector<char*> words;
  for (const std::string& word : line) words.push_back(const_cast<char*>(word.c_str()));  // NOLINT
  words.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) throw UsageError("cannot start mpirun: ", std::strerror(errno));
  if (child > 0) return child;
  setpgid(0, 0);  // a terminal's Ctrl-C comes to us alone, who pass it on
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  execv(words[0], words.data());
  _exit(127);
}

std::map<int64_t, int> read_ends(const fs::path& folder) {
  std::map<int64_t, int> ends;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    ends[std::stoll(name)] = std::atoi(read_text(entry.path(), ExitCode::kBug).c_str());
  }
  return ends;
}

// Waits for mpirun; passes a stop on, and ends ranks that outlive a failure.
void wait_for(pid_t mpirun, int64_t count, const fs::path& ends) {
  const SavesFirst ranks_may_save;
  bool is_told = false;
  Clock::time_point give_up = Clock::time_point::max();
  while (waitpid(mpirun, nullptr, WNOHANG) == 0) {
    if (!is_told && stop_signal() != 0) {
      is_told = true;
      kill(mpirun, SIGUSR1);  // mpirun hands this one to its ranks and stays
    }
    const std::map<int64_t, int> known = read_ends(ends);
    const bool has_failed = std::any_of(known.begin(), known.end(), [](const auto& end) {
      return end.second != 0 && end.second != static_cast<int>(ExitCode::kStopped);
    });
    if (has_failed && static_cast<int64_t>(known.size()) < count)
      give_up = std::min(give_up, Clock::now() + kGrace);
    if (Clock::now() > give_up) {
      log_warn("ending the ranks that do not answer");
      kill(mpirun, SIGTERM);
      give_up = Clock::time_point::max();
    }
    std::this_thread::sleep_for(kLookEvery);
  }
}

}  // namespace

void run_under_mpirun(int64_t count, const std::vector<std::string>& arguments) {
  if (count < 1 || count > 4096) throw UsageError("--procs ", count, ": want 1 to 4096");
  const TemporaryFolder ends;
  install_stop_signals();
  wait_for(start(mpirun_line(count, ends.path(), arguments)), count, ends.path());

  int cause = 0, num_stopped = 0;
  std::vector<std::string> silent, lost;
  const std::map<int64_t, int> known = read_ends(ends.path());
  for (int64_t rank = 0; rank < count; ++rank) {
    const auto end = known.find(rank);
    if (end == known.end())
      silent.push_back(std::to_string(rank));
    else if (end->second == static_cast<int>(ExitCode::kStopped))
      ++num_stopped;
    else if (end->second == static_cast<int>(ExitCode::kLostRank))
      lost.push_back(std::to_string(rank));
    else if (end->second != 0 && (cause == 0 || end->second < cause))
      cause = end->second;
  }
  if (cause != 0)
    throw UserError(static_cast<ExitCode>(cause), "of ", count,
                    " ranks some have failed (exit code ", cause, "); their messages are above");
  if (!silent.empty())
    throw LostRank("of ", count, " ranks ", join(silent, ", "),
                   known.empty() ? " could not be started, see above" : " were lost", kAfterALoss);
  if (!lost.empty()) throw LostRank("of ", count, " ranks ", join(lost, ", "), " lost another one");
  if (num_stopped > 0)
    throw Stopped(
        "all ranks have stopped with the checkpoint saved; run the same command to go on");
}

void report_end(const std::string& folder, int exit_code) {
  const int64_t rank = detect_launcher().rank;
  const fs::path place = fs::path(folder) / std::to_string(rank);
  FileOps ops;
  write_text(ops, place, std::to_string(exit_code));
}

}  // namespace vit22b
