#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace vit22b {

/// A linear classifier on standardised features with a constant feature at the end.
struct RidgeHead {
  at::Tensor mean_D, deviation_D;
  at::Tensor weights_EC;  ///< E = D + 1; float64

  /// [N, C] float64.
  at::Tensor scores(const at::Tensor& features_ND) const;
};

/// big_vision's few-shot classifier: least squares on targets of -1 and 1 with an L2 penalty, in
/// closed form.
///
/// Features are standardised by the training samples (deviation + 1e-5) and get a constant feature
/// of 100, so that the bias is hardly penalised.
/// l2      penalty; big_vision's evaluations use 2^10
/// source  big_vision evaluators/fewshot_lsr.py; oracle tests/oracle/transfer.safetensors
RidgeHead fit_ridge(const at::Tensor& features_ND, const at::Tensor& labels_N, int64_t num_classes,
                    double l2);

/// Training samples for a number of shots: the first `shots` of each class in a draw of its own,
/// all where a class has fewer.
///
/// returns  int64 indices
at::Tensor draw_shots(const at::Tensor& labels_N, int64_t num_classes, int64_t shots,
                      uint64_t seed);

}  // namespace vit22b
