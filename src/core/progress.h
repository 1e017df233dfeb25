#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace vit22b {

/// Progress for a person: a bar with ETA that redraws itself on a terminal, plain lines otherwise.
class Progress {
 public:
  /// label  what is counted, such as "eval"; total  its number, > 0
  Progress(std::string label, int64_t total, bool is_quiet = false);
  /// Clears the bar.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Redraws on a terminal (at most ten times a second); elsewhere writes nothing.
  void update(int64_t done, const std::string& note = "");

 private:
  std::string label_;
  int64_t total_;
  bool is_drawn_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

/// True when stderr is a terminal that can redraw a line.
bool stderr_is_terminal();

}  // namespace vit22b
