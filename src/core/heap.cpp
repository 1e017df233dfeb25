#include "core/heap.h"

#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/device.h"

namespace vit22b {
namespace {

constexpr uintptr_t kLargePage = 2 << 20;
constexpr int kNever = -1;  // glibc: the threshold that nothing reaches

// Grows the heap by `bytes` of address space and asks for large pages there before anything
// touches it. False where the system refuses that much.
bool grow_heap(size_t bytes) {
  void* const block = std::malloc(bytes);
  if (block == nullptr) return false;
  advise_large_pages(block, bytes);
  std::free(block);  // stays at the heap's end: it is never given back
  return true;
}

/// Tensors' memory from the heap, aligned to a cache line. The C library's aligned_alloc asks for
/// some bytes more than it gives back, so that no tensor fits where one of its size has been: a
/// ViT-B/16's training step took 9 % more memory.
class TensorMemory : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    const c10::Device cpu(c10::kCPU);
    if (bytes == 0) return {nullptr, nullptr, &give_back, cpu};
    constexpr size_t kBeside = kLine + sizeof(void*);
    void* const block = bytes > SIZE_MAX - kBeside ? nullptr : std::malloc(bytes + kBeside);
    if (block == nullptr)
      C10_THROW_ERROR(Error,
                      "not enough memory: a tensor wants " + std::to_string(bytes) + " bytes");
    const uintptr_t begin = reinterpret_cast<uintptr_t>(block);
    const uintptr_t aligned = (begin + kBeside - 1) / kLine * kLine;
    auto* const data = reinterpret_cast<void**>(static_cast<char*>(block) + (aligned - begin));
    data[-1] = block;
    return {data, data, &give_back, cpu};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

 private:
  static void give_back(void* data) {
    if (data != nullptr) std::free(static_cast<void**>(data)[-1]);
  }
  static constexpr uintptr_t kLine = 64;
};

}  // namespace

void advise_large_pages(void* memory, size_t bytes) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t first = (begin + kLargePage - 1) / kLargePage * kLargePage;
  const uintptr_t last = (begin + bytes) / kLargePage * kLargePage;
  if (last > first)
    madvise(static_cast<char*>(memory) + (first - begin), last - first,
            MADV_HUGEPAGE);  // advice only
}

void prepare_heap() {
  // Giving activations back to the system costs page faults, 4 % of a small model's step; pages of
  // 4 KiB cost another 4 % of a ViT-B/16 in bf16.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, kNever);
  static TensorMemory tensors;
  c10::SetCPUAllocator(&tensors);
  for (size_t bytes = static_cast<size_t>(host_memory_bytes()) / 2; bytes >= kLargePage; bytes /= 2)
    if (grow_heap(bytes)) return;
}

}  // namespace vit22b
