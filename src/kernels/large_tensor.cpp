#include "kernels/large_tensor.h"

#include <sys/mman.h>

namespace vit22b {
namespace {

constexpr size_t kLargeBytes = size_t{256} << 20;

}  // namespace

at::Tensor empty_large(at::IntArrayRef shape, const at::TensorOptions& options) {
  const size_t bytes =
      static_cast<size_t>(c10::multiply_integers(shape)) * options.dtype().itemsize();
  if (!options.device().is_cpu() || bytes < kLargeBytes) return at::empty(shape, options);
  void* const data =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return at::empty(shape, options);  // which says what is short
  madvise(data, bytes, MADV_HUGEPAGE);                       // advice only
  return at::from_blob(
      data, shape, [bytes](void* memory) { munmap(memory, bytes); }, options);
}

}  // namespace vit22b
