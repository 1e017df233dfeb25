#pragma once

namespace vit22b {

/// Sets up this process's memory for tensors that come and go every step: freed memory stays with
/// the process, and the heap lies on large pages where the system allows it. Call once at start;
/// without effect on how much memory is counted as used until it is touched.
void prepare_heap();

}  // namespace vit22b
