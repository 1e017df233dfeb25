#include "core/heap.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

namespace vit22b {
namespace {

constexpr uintptr_t kLargePage = 2 << 20;
constexpr int kNever = -1;  // glibc: the threshold that nothing reaches

// Grows the heap by `bytes` of address space and asks for large pages there before anything
// touches it. False where the system refuses that much.
bool grow_heap(size_t bytes) {
  void* const block = std::malloc(bytes);
  if (block == nullptr) return false;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(block);
  const uintptr_t first = (begin + kLargePage - 1) / kLargePage * kLargePage;
  const uintptr_t last = (begin + bytes) / kLargePage * kLargePage;
  if (last > first)
    madvise(static_cast<char*>(block) + (first - begin), last - first,
            MADV_HUGEPAGE);  // advice only
  std::free(block);          // stays at the heap's end: it is never given back
  return true;
}

}  // namespace

void prepare_heap() {
  // Giving activations back to the system costs page faults, 4 % of a small model's step; pages of
  // 4 KiB cost another 4 % of a ViT-B/16 in bf16.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, kNever);
  const size_t memory =
      static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGE_SIZE));
  for (size_t bytes = memory / 2; bytes >= kLargePage; bytes /= 2)
    if (grow_heap(bytes)) return;
}

}  // namespace vit22b
