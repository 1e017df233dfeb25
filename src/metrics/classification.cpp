#include "metrics/classification.h"

#include <limits>

namespace vit22b::metrics {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

}  // namespace

double top_k_accuracy(const at::Tensor& logits_NC, const at::Tensor& labels_N, int64_t k) {
  if (logits_NC.size(0) == 0) return kUndefined;
  const at::Tensor own = logits_NC.gather(1, labels_N.unsqueeze(1));
  const at::Tensor index = at::arange(logits_NC.size(1), labels_N.options()).unsqueeze(0);
  // Classes that stand before the label: a larger logit, or an equal one with a lower index.
  const at::Tensor before =
      (logits_NC > own).logical_or((logits_NC == own).logical_and(index < labels_N.unsqueeze(1)));
  // No comparison with a NaN holds: a row that has one is wrong.
  const at::Tensor is_number = logits_NC.isnan().any(1).logical_not();
  return before.sum(1).lt(k).logical_and(is_number).to(at::kDouble).mean().item<double>();
}

double negative_log_likelihood(const at::Tensor& logits_NC, const at::Tensor& labels_N) {
  if (logits_NC.size(0) == 0) return kUndefined;
  const at::Tensor log_probabilities = at::log_softmax(logits_NC.to(at::kDouble), 1);
  return -log_probabilities.gather(1, labels_N.unsqueeze(1)).mean().item<double>();
}

std::vector<std::vector<int64_t>> confusion_matrix(const at::Tensor& logits_NC,
                                                   const at::Tensor& labels_N) {
  const auto classes = static_cast<size_t>(logits_NC.size(1));
  std::vector<std::vector<int64_t>> counts(classes, std::vector<int64_t>(classes, 0));
  const at::Tensor predictions = logits_NC.argmax(1).cpu();
  const at::Tensor truths = labels_N.cpu(), is_nan = logits_NC.isnan().any(1).cpu();
  const auto* predicted = predictions.const_data_ptr<int64_t>();
  const auto* truth = truths.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < predictions.numel(); ++i)
    if (!is_nan.const_data_ptr<bool>()[i])
      ++counts.at(static_cast<size_t>(truth[i])).at(static_cast<size_t>(predicted[i]));
  return counts;
}

}  // namespace vit22b::metrics
