#include "kernels/cpu/scratch.h"

#include <cstdlib>
#include <new>

#include "core/heap.h"

namespace vit22b::cpu {
namespace {
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
  bytes = (bytes + kLine - 1) / kLine * kLine;
  void* memory = std::aligned_alloc(kLine, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  advise_large_pages(memory, bytes);  // aligning to them would waste half of one at either end
  memory_.reset(static_cast<float*>(memory));
  size_ = static_cast<int64_t>(bytes / sizeof(float));
  return memory_.get();
}

ThreadScratch& thread_scratch() {
  thread_local ThreadScratch scratch;
  return scratch;
}

}  // namespace vit22b::cpu
