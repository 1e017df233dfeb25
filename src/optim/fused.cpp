#include "optim/fused.h"

#include <algorithm>

namespace vit22b {

bool are_plain(std::initializer_list<at::Tensor> tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const at::Tensor& tensor) {
    return tensor.is_cpu() && tensor.is_contiguous();
  });
}

}  // namespace vit22b
