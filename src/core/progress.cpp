#include "core/progress.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "core/log.h"
#include "core/text.h"

namespace vit22b {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr auto kPlainLine = std::chrono::seconds(30);

}  // namespace

bool stderr_is_terminal() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && terminal != nullptr && std::string_view(terminal) != "dumb";
}

Progress::Progress(std::string label, int64_t total, bool is_quiet, Clock clock)
    : label_(std::move(label)),
      total_(total),
      is_quiet_(is_quiet),
      is_drawn_(!is_quiet && stderr_is_terminal()),
      clock_(std::move(clock)),
      start_(clock_()),
      last_(start_) {}

Progress::~Progress() {
  if (is_drawn_) std::fputs("\r\033[K", stderr);
}

double Progress::seconds_left(int64_t done, double seconds) const {
  return done > 0 ? seconds * static_cast<double>(total_ - done) / static_cast<double>(done) : 0;
}

void Progress::update(int64_t done, const std::string& note) {
  if (is_quiet_) return;
  const auto now = clock_();
  const bool is_due = is_drawn_ ? done >= total_ || now - last_ >= kRedraw
                                : done < total_ && now - last_ >= kPlainLine;
  if (!is_due) return;
  last_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  is_drawn_ ? draw_bar(done, seconds, note) : write_line(done, seconds, note);
}

void Progress::draw_bar(int64_t done, double seconds, const std::string& note) {
  constexpr int64_t kWidth = 24;
  const int64_t filled = total_ > 0 ? kWidth * done / total_ : 0;
  const std::string bar = std::string(static_cast<size_t>(filled), '=') +
                          std::string(static_cast<size_t>(kWidth - filled), ' ');
  std::fprintf(stderr, "\r\033[K%s [%s] %lld/%lld  eta %s  %s", label_.c_str(), bar.c_str(),
               static_cast<long long>(done), static_cast<long long>(total_),
               human_duration(seconds_left(done, seconds)).c_str(), note.c_str());
  std::fflush(stderr);
}

void Progress::write_line(int64_t done, double seconds, const std::string& note) {
  const std::string rate = formatted("%.3g/s", static_cast<double>(done) / seconds);
  log_info(concat(label_, " ", done, "/", total_, "  ", rate, "  eta ",
                  human_duration(seconds_left(done, seconds)), note.empty() ? "" : "  ", note));
}

}  // namespace vit22b
