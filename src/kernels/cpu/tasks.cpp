#include "kernels/cpu/tasks.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

namespace vit22b::cpu {

void for_each_task(int64_t count, const std::function<void(int64_t task)>& run) {
  std::atomic<int64_t> next{0};
  const int64_t threads = std::min<int64_t>(count, at::get_num_threads());
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    // One range a thread; where libtorch gives several (a nested call), the first takes all tasks.
    for (; first < last; ++first)
      for (int64_t task = next++; task < count; task = next++) run(task);
  });
}

}  // namespace vit22b::cpu
