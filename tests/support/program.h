#pragma once
#include <sys/wait.h>

#include <cstdlib>
#include <functional>
#include <optional>
#include <string>

#include "support/files.h"

namespace vit22b::test {

/// How the program, or a command that starts it, has ended.
struct Ended {
  int code = -1;
  std::string out, err;

  /// The last line on stderr: what a person reads.
  std::string last_line() const {
    const std::string text = err.substr(0, err.find_last_not_of('\n') + 1);
    const size_t at = text.rfind('\n');
    return at == std::string::npos ? text : text.substr(at + 1);
  }
};

/// The program under test.
inline std::string program() {
  const char* binary = std::getenv("VIT22B_BINARY");
  return binary != nullptr ? binary : "build/release/vit22b";
}

/// Runs a shell line.
inline Ended shell(const std::string& line) {
  const TempFolder streams;
  const int status = std::system(
      (line + " >" + (streams / "out").string() + " 2>" + (streams / "err").string()).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          read_file(streams / "out"), read_file(streams / "err")};
}

/// Runs a line of the program's arguments without its start, where a folder's tests have such a
/// means and the line is words alone.
inline std::function<std::optional<Ended>(const std::string& arguments)> run_without_start;

/// Runs the program with the instructions that the tests do with; words with spaces are quoted by
/// the caller.
inline Ended vit(const std::string& arguments, const std::string& before = "") {
  const char* instructions = std::getenv("VIT22B_TEST_INSTRUCTIONS");
  const std::string limit =
      instructions == nullptr ? "" : " --instructions " + std::string(instructions);
  if (run_without_start && before.empty())
    if (const std::optional<Ended> ended = run_without_start(limit + " " + arguments))
      return *ended;
  return shell(before + " " + program() + limit + " " + arguments);
}

}  // namespace vit22b::test
