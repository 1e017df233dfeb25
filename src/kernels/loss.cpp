#include "kernels/loss.h"

#include "kernels/shape.h"

namespace vit22b {

at::Tensor sigmoid_cross_entropy(const at::Tensor& logits_BC, const at::Tensor& targets_BC) {
  check_shape("sigmoid_cross_entropy", "targets", targets_BC,
              {{"B", logits_BC.size(0)}, {"C", logits_BC.size(1)}});
  return at::binary_cross_entropy_with_logits(logits_BC.to(at::kFloat), targets_BC.to(at::kFloat),
                                              {}, {}, at::Reduction::None)
      .sum(-1);
}

at::Tensor softmax_cross_entropy(const at::Tensor& logits_BC, const at::Tensor& targets_BC) {
  check_shape("softmax_cross_entropy", "targets", targets_BC,
              {{"B", logits_BC.size(0)}, {"C", logits_BC.size(1)}});
  return -(at::log_softmax(logits_BC.to(at::kFloat), -1) * targets_BC).sum(-1);
}

}  // namespace vit22b
