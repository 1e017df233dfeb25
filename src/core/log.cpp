#include "core/log.h"

#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <mutex>

#include "core/error.h"
#include "core/printable.h"

namespace vit22b {
namespace {

struct LogTargets {
  std::mutex mutex;
  std::ofstream file;
  std::string prefix;
  bool is_quiet = false;
  bool is_shown = true;
};

// The one process-wide state of logging: where lines go.
LogTargets& targets() {
  static LogTargets instance;
  return instance;
}

std::string clock_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S ", &parts);
  return text;
}

void write(std::string_view mark, std::string_view text, bool is_on_terminal) {
  LogTargets& t = targets();
  const std::lock_guard lock(t.mutex);
  const std::string line = concat(t.prefix, mark, text, "\n");
  if (is_on_terminal && t.is_shown) {
    // File names and labels from outside must not steer the terminal.
    static const bool kIsTerminal = isatty(STDERR_FILENO) == 1;
    std::fputs((kIsTerminal ? printable(line, "\n\t") : line).c_str(), stderr);
  }
  if (t.file.is_open()) t.file << clock_text() << line << std::flush;
}

}  // namespace

void log_info(std::string_view text) {
  write("", text, !targets().is_quiet);
}
void log_warn(std::string_view text) {
  write("warning: ", text, true);
}
void log_error(std::string_view text) {
  write("error: ", text, true);
}
void log_file_only(std::string_view text) {
  write("", text, false);
}

bool log_is_quiet() {
  return targets().is_quiet;
}

void log_set_quiet(bool is_quiet) {
  targets().is_quiet = is_quiet;
}

void log_set_terminal(bool is_shown) {
  targets().is_shown = is_shown;
}

void log_set_prefix(std::string prefix) {
  targets().prefix = std::move(prefix);
}

void log_to_file(const std::filesystem::path& path) {
  targets().file.close();
  targets().file.open(path, std::ios::app);
  if (!targets().file)
    throw UsageError("cannot write the log file ", path.string(), "; choose another --out");
}

}  // namespace vit22b
