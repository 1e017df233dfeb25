#include "kernels/cpu/scratch.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace vit22b::cpu {
namespace {
constexpr size_t kLargePage = 2 << 20;
constexpr size_t kLine = 64;
}  // namespace

void Scratch::Free::operator()(float* p) const {
  std::free(p);
}

float* Scratch::get(int64_t floats) {
  if (floats <= size_) return memory_.get();
  memory_.reset();
  size_ = 0;
  size_t bytes = static_cast<size_t>(floats) * sizeof(float);
  const size_t alignment = bytes >= kLargePage ? kLargePage : kLine;
  bytes = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  if (alignment == kLargePage) madvise(memory, bytes, MADV_HUGEPAGE);  // advice only
  memory_.reset(static_cast<float*>(memory));
  size_ = static_cast<int64_t>(bytes / sizeof(float));
  return memory_.get();
}

ThreadScratch& thread_scratch() {
  thread_local ThreadScratch scratch;
  return scratch;
}

}  // namespace vit22b::cpu
