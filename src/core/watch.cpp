#include "core/watch.h"

#include <memory>

#include "core/progress.h"
#include "core/signals.h"

namespace vit22b {

Watch watch_signals() {
  return {.should_stop = [] { return stop_signal() != 0; }};
}

Watch watch_with_progress(const std::string& label, int64_t total, bool is_quiet) {
  Watch watch = watch_signals();
  watch.on_progress = [progress = std::make_shared<Progress>(label, total, is_quiet)](
                          int64_t done, int64_t) { progress->update(done); };
  return watch;
}

}  // namespace vit22b
