#include "kernels/shape.h"

#include "core/error.h"

namespace vit22b {

std::string shape_text(at::IntArrayRef shape) {
  return sides_text(shape.vec());
}

void check_shape(const char* where, const char* name, const at::Tensor& tensor,
                 std::initializer_list<WantedDim> wanted) {
  bool is_right = tensor.defined() && tensor.dim() == static_cast<int64_t>(wanted.size());
  int64_t dim = 0;
  std::vector<std::string> texts;
  texts.reserve(wanted.size());
  for (const WantedDim& want : wanted) {
    if (is_right && want.size >= 0 && tensor.size(dim) != want.size) is_right = false;
    texts.push_back(want.size >= 0 ? concat(want.letter, "=", want.size)
                                   : std::string(want.letter));
    ++dim;
  }
  if (is_right) return;
  throw UsageError(where, ": ", name, " has shape ",
                   tensor.defined() ? shape_text(tensor.sizes()) : "(undefined)", ", want [",
                   join(texts, ", "), "]");
}

}  // namespace vit22b
