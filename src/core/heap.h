#pragma once
#include <cstddef>

namespace vit22b {

/// Sets up this process's memory for tensors that come and go every step: freed memory stays with
/// the process, and the heap lies on large pages where the system allows it. Call once at start;
/// without effect on how much memory is counted as used until it is touched.
void prepare_heap();

/// Asks for large pages in all of a range that whole ones fit into.
void advise_large_pages(void* memory, size_t bytes);

}  // namespace vit22b
