#include "train/tasks/class_loss.h"

#include "kernels/loss.h"

namespace vit22b {

ClassLoss class_loss(const std::string& kind, const at::Tensor& logits_BC,
                     const at::Tensor& labels_B, int64_t num_classes, const Mesh& mesh) {
  const Share own = mesh.share(MeshAxis::kModel, num_classes);
  const at::Tensor classes = at::arange(own.first, own.first + own.count, labels_B.options());
  const at::Tensor targets_BC = labels_B.unsqueeze(1).eq(classes).to(at::kFloat);
  const at::Tensor z = logits_BC.to(at::kFloat);
  const auto images = static_cast<double>(z.size(0));
  if (kind == "sigmoid") {
    const at::Tensor loss_B = sigmoid_cross_entropy(z, targets_BC);
    mesh.sum_(loss_B, MeshAxis::kModel, "loss");
    return {loss_B.mean(), (at::sigmoid(z) - targets_BC) / images};
  }
  const at::Tensor largest_B1 =
      own.count > 0
          ? z.amax(1, /*keepdim=*/true)
          : at::full({z.size(0), 1}, -std::numeric_limits<float>::infinity(), z.options());
  mesh.max_(largest_B1, MeshAxis::kModel, "largest logit");
  const at::Tensor exponentials = (z - largest_B1).exp();
  const std::vector<at::Tensor> sums = {exponentials.sum(1, /*keepdim=*/true),
                                        (targets_BC * z).sum(1, /*keepdim=*/true)};
  mesh.sum_together_(sums, MeshAxis::kModel, "softmax");
  const at::Tensor loss_B1 = sums[0].log() + largest_B1 - sums[1];
  return {loss_B1.mean(), (exponentials / sums[0] - targets_BC) / images};
}

}  // namespace vit22b
