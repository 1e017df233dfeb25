#pragma once
#include <cstdint>
#include <functional>

namespace vit22b::cpu {

/// Runs tasks 0 .. count - 1 on libtorch's threads, each thread taking the next one when it is
/// free: a thread whose core is shared with somebody else then does less instead of holding up the
/// rest. What a task computes may not depend on the thread that runs it.
void for_each_task(int64_t count, const std::function<void(int64_t task)>& run);

}  // namespace vit22b::cpu
