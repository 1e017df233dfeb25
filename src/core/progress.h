#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace vit22b {

/// Progress for a person: a bar with ETA that redraws itself on a terminal; elsewhere a plain line
/// every half minute, so that a short run writes none.
class Progress {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  /// label  what is counted, such as "eval"; total  its number, > 0; clock  replaced by tests
  Progress(std::string label, int64_t total, bool is_quiet = false,
           Clock clock = std::chrono::steady_clock::now);
  /// Clears the bar.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Tells how many are done: at most ten times a second on a terminal.
  void update(int64_t done, const std::string& note = "");

 private:
  void draw_bar(int64_t done, double seconds, const std::string& note);
  void write_line(int64_t done, double seconds, const std::string& note);
  /// Seconds to the end at the rate so far.
  double seconds_left(int64_t done, double seconds) const;

  std::string label_;
  int64_t total_;
  bool is_quiet_, is_drawn_;
  Clock clock_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

/// True when stderr is a terminal that can redraw a line.
bool stderr_is_terminal();

}  // namespace vit22b
