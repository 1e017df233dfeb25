// The program's commands in children of a process that was forked, with all libraries loaded,
// before the first test: what the program does, without the third of a second that libtorch takes
// to load.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>

#include "cli/command.h"
#include "support/program.h"
#include "support/shell_words.h"

namespace vit22b::test {
namespace {

void write_all(int socket, const void* data, size_t size) {
  const auto* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t done = ::write(socket, bytes, size);
    if (done <= 0) throw std::runtime_error("program server: it is gone");
    bytes += done;
    size -= static_cast<size_t>(done);
  }
}

bool read_all(int socket, void* data, size_t size) {
  auto* bytes = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t done = ::read(socket, bytes, size);
    if (done <= 0) return false;
    bytes += done;
    size -= static_cast<size_t>(done);
  }
  return true;
}

void write_texts(int socket, const std::vector<std::string>& texts) {
  const auto count = static_cast<uint32_t>(texts.size());
  write_all(socket, &count, sizeof count);
  for (const std::string& text : texts) {
    const auto length = static_cast<uint32_t>(text.size());
    write_all(socket, &length, sizeof length);
    write_all(socket, text.data(), text.size());
  }
}

bool read_texts(int socket, std::vector<std::string>& texts) {
  uint32_t count = 0;
  if (!read_all(socket, &count, sizeof count)) return false;
  texts.resize(count);
  for (std::string& text : texts) {
    uint32_t length = 0;
    if (!read_all(socket, &length, sizeof length)) return false;
    text.resize(length);
    if (!read_all(socket, text.data(), length)) return false;
  }
  return true;
}

void redirect(int from, const std::string& to) {
  const int file = ::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::dup2(file, from);
  ::close(file);
}

// The program's main, in a process of its own. Request: where its output goes, its folder, its
// words.
[[noreturn]] void run_program(std::vector<std::string>& request) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  redirect(STDOUT_FILENO, request.at(0));
  redirect(STDERR_FILENO, request.at(1));
  if (::chdir(request.at(2).c_str()) != 0) std::_Exit(1);
  std::vector<char*> words;
  for (size_t i = 3; i < request.size(); ++i) words.push_back(request[i].data());
  words.push_back(nullptr);
  std::exit(run_command_line(static_cast<int>(words.size()) - 1, words.data()));
}

[[noreturn]] void serve(int socket) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<std::string> request;
  while (read_texts(socket, request)) {
    const pid_t child = ::fork();
    if (child == 0) run_program(request);
    int status = 0;
    ::waitpid(child, &status, 0);
    write_all(socket, &status, sizeof status);
  }
  std::_Exit(0);
}

int server_socket = -1;

// Launches and what names the program itself want a process of their own.
bool wants_own_process(const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return word.starts_with("--procs") || word == "env";
  });
}

std::optional<Ended> run_by_server(const std::string& line) {
  const auto words = shell_words(line);
  if (!words || wants_own_process(*words)) return std::nullopt;
  const TempFolder streams;
  std::vector<std::string> request = {(streams / "out").string(), (streams / "err").string(),
                                      std::filesystem::current_path().string(), program()};
  request.insert(request.end(), words->begin(), words->end());
  write_texts(server_socket, request);
  int status = 0;
  if (!read_all(server_socket, &status, sizeof status))
    throw std::runtime_error("program server: it is gone");
  return Ended{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
               read_file(streams / "out"), read_file(streams / "err")};
}

/// Forked when nothing has run yet: a team of threads does not survive a fork.
class ProgramServer : public testing::Environment {
 public:
  void SetUp() override {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return;
    std::fflush(nullptr);
    const pid_t server = ::fork();
    if (server == 0) {
      ::close(pair[0]);
      serve(pair[1]);
    }
    ::close(pair[1]);
    server_socket = pair[0];
    run_without_start = run_by_server;
  }
  void TearDown() override {
    run_without_start = nullptr;
    ::close(server_socket);
  }
};

const testing::Environment* const kServer =
    testing::AddGlobalTestEnvironment(new ProgramServer);  // NOLINT: gtest owns it

}  // namespace
}  // namespace vit22b::test
