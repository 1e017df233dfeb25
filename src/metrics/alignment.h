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

/// What one layer makes of some samples, for unbiased_cka with what others make of the same ones.
class CkaLayer {
 public:
  /// rows_ND  of the samples, of any width
  explicit CkaLayer(const at::Tensor& rows_ND);

  /// The unbiased estimate of the Hilbert-Schmidt independence criterion with linear kernels; NaN
  /// of fewer than four samples.
  ///
  /// throws  InternalError for other numbers of samples
  double dependence(const CkaLayer& other) const;

 private:
  at::Tensor rows_ND_;    ///< centred, float64
  at::Tensor squares_N_;  ///< of the rows' lengths
  at::Tensor kernel_NN_;  ///< products of rows; undefined for more samples than features
};

/// Linear centred kernel alignment of all samples at once, debiased: of what has nothing in common
/// 0 on average however few the samples are, and so below 0 at times, where LinearCka is near 1 for
/// fewer samples than features. NaN of fewer than four samples, or where a layer does not vary.
///
/// source  Song et al. 2012, Feature selection via dependence maximization, eq. 4; as Nguyen et al.
///         2021 (arXiv 2010.15327) use it, there on minibatches
double unbiased_cka(const CkaLayer& first, const CkaLayer& second);
/// The same from the dependence of both and of each with itself.
double unbiased_cka(double of_both, double of_first, double of_second);

/// [B] float64: cosines of rows; NaN for a row of zeros.
at::Tensor row_cosines(const at::Tensor& first_BD, const at::Tensor& second_BD);

}  // namespace vit22b::metrics
