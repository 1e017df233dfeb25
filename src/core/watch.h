#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace vit22b {

/// Who is asked whether long work is to stop, and told how far it is.
struct Watch {
  /// Asked between pieces of the work; true ends it early with Stopped.
  std::function<bool()> should_stop = [] { return false; };
  /// Told after each piece.
  std::function<void(int64_t done, int64_t total)> on_progress = [](int64_t, int64_t) {};
};

/// A command's: stops on a signal, and shows nothing.
Watch watch_signals();
/// The same with a Progress, which is cleared with the last copy of the watch.
Watch watch_with_progress(const std::string& label, int64_t total, bool is_quiet);

}  // namespace vit22b
