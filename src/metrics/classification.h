#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace vit22b::metrics {

/// Share of rows whose label is among the k largest logits; ties count by the lower index first, a
/// row with a NaN as wrong.
///
/// logits_NC  float
/// labels_N   int64 in [0, C)
/// returns    0 to 1; NaN for no rows
double top_k_accuracy(const at::Tensor& logits_NC, const at::Tensor& labels_N, int64_t k);

/// Mean of -log softmax(logits)[label], in nats; NaN for no rows.
double negative_log_likelihood(const at::Tensor& logits_NC, const at::Tensor& labels_N);

/// counts[truth][prediction]; rows with a NaN have no prediction and are left out.
std::vector<std::vector<int64_t>> confusion_matrix(const at::Tensor& logits_NC,
                                                   const at::Tensor& labels_N);

}  // namespace vit22b::metrics
