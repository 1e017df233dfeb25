#include "core/progress.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "core/text.h"

namespace vit22b {

bool stderr_is_terminal() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && terminal != nullptr && std::string_view(terminal) != "dumb";
}

Progress::Progress(std::string label, int64_t total, bool is_quiet)
    : label_(std::move(label)),
      total_(total),
      is_drawn_(!is_quiet && stderr_is_terminal()),
      start_(std::chrono::steady_clock::now()),
      last_(start_) {}

Progress::~Progress() {
  if (is_drawn_) std::fputs("\r\033[K", stderr);
}

void Progress::update(int64_t done, const std::string& note) {
  if (!is_drawn_) return;
  const auto now = std::chrono::steady_clock::now();
  if (done < total_ && now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  constexpr int64_t kWidth = 24;
  const int64_t filled = total_ > 0 ? kWidth * done / total_ : 0;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double left =
      done > 0 ? elapsed * static_cast<double>(total_ - done) / static_cast<double>(done) : 0;
  const std::string bar = std::string(static_cast<size_t>(filled), '=') +
                          std::string(static_cast<size_t>(kWidth - filled), ' ');
  std::fprintf(stderr, "\r\033[K%s [%s] %lld/%lld  eta %s  %s", label_.c_str(), bar.c_str(),
               static_cast<long long>(done), static_cast<long long>(total_),
               human_duration(left).c_str(), note.c_str());
  std::fflush(stderr);
}

}  // namespace vit22b
