#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace vit22b::metrics {

/// Linear centred kernel alignment of two representations of the same samples, of any widths: 1
/// where one is the other turned, scaled and moved; near 0 where they have nothing in common, for
/// many more samples than features.
///
/// source  Kornblith et al. 2019, Similarity of neural network representations revisited
class LinearCka {
 public:
  /// first_BD, second_BE  rows of the same samples
  void add(const at::Tensor& first_BD, const at::Tensor& second_BE);
  /// NaN of no samples, and where one of them does not vary.
  double value() const;
  int64_t num_samples() const { return num_; }

 private:
  int64_t num_ = 0;
  at::Tensor shift_1D_, shift_1E_;  ///< the first samples' means: sums of what is left are exact
  at::Tensor sum_D_, sum_E_;        ///< float64
  at::Tensor first_DD_, second_EE_, cross_DE_;
};

/// [B] float64: cosines of rows; NaN for a row of zeros.
at::Tensor row_cosines(const at::Tensor& first_BD, const at::Tensor& second_BD);

}  // namespace vit22b::metrics
