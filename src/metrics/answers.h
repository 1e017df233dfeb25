#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <vector>

namespace vit22b::metrics {

/// A classifier's answer to one sample: all that metrics keep of its logits.
struct Answer {
  static constexpr int64_t kNone = -1;  ///< the prediction of a row with a NaN

  int64_t label = 0;
  int64_t prediction = 0;  ///< the largest logit's class, the first of equal ones; or kNone
  /// Classes that stand before the label: a larger logit, or an equal one with a lower index. A row
  /// with a NaN has no order: more than there are classes.
  int64_t before = 0;
  double confidence = 0;  ///< softmax of the prediction; 0 for a row with a NaN
  double nll = 0;         ///< -log softmax of the label, in nats

  bool is_right() const { return prediction == label; }
  bool is_among(int64_t k) const { return before < k; }
};

/// The answers of a batch. Works on some rows at a time, so that classes by the ten thousand take
/// little memory beside the logits.
///
/// logits_BC  float, on any device
/// labels_B   int64 in [0, C)
std::vector<Answer> answers_of(const at::Tensor& logits_BC, const at::Tensor& labels_B);

/// Rows of so many classes that are worked on at a time.
int64_t rows_at_a_time(int64_t num_classes);

}  // namespace vit22b::metrics
