#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "eval/evaluator.h"

namespace vit22b {

/// Accuracy, losses, calibration error and confusion of a classifier's answers, with the surest
/// right and wrong ones, 12 each.
///
/// top1, top5  shares; loss: mean of the training loss; nll: of softmax, whatever the training
///             loss; ece: 15 equal-width bins
/// confusion   the whole matrix of at most 200 classes; of more, each class's counts and the most
///             confused pairs
std::unique_ptr<Evaluator> make_classification(const EvaluatorOptions& options);

/// The training loss of logits against integer labels, some rows at a time.
///
/// returns  [B] float32
at::Tensor classification_loss(const std::string& loss, const at::Tensor& logits_BC,
                               const at::Tensor& labels_B);

}  // namespace vit22b
