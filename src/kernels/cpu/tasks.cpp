#include "kernels/cpu/tasks.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

namespace vit22b::cpu {
namespace {
// Small tasks are handed out several at a time, so that threads meet at the counter this often
// each.
constexpr int64_t kGrabsPerThread = 16;
}  // namespace

void for_each_task(int64_t count, const std::function<void(int64_t task)>& run) {
  std::atomic<int64_t> next{0};
  const int64_t threads = std::min<int64_t>(count, at::get_num_threads());
  const int64_t some =
      std::max<int64_t>(1, count / std::max<int64_t>(1, kGrabsPerThread * threads));
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    // One range a thread; where libtorch gives several (a nested call), the first takes all tasks.
    for (; first < last; ++first)
      for (int64_t begin = next.fetch_add(some); begin < count; begin = next.fetch_add(some))
        for (int64_t task = begin; task < std::min(begin + some, count); ++task) run(task);
  });
}

}  // namespace vit22b::cpu
