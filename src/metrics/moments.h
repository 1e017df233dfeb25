#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace vit22b::metrics {

/// How values that come part by part are spread: their length, how far the largest stands out, and
/// how heavy their tails are. In float64; parts are merged without the sums that would cancel
/// (Pébay 2008). Every number is NaN of no values, and where one of them is not finite.
class Moments {
 public:
  /// values  of any shape and dtype, on the CPU
  void add(const at::Tensor& values);
  void add(const Moments& other);

  int64_t count() const { return count_; }
  double mean() const;
  /// The square root of the sum of squares: the Frobenius norm.
  double norm() const;
  /// The largest magnitude.
  double largest() const;
  /// The largest magnitude over the root mean square; NaN of zeros.
  double outlier_ratio() const;
  /// The fourth central moment over the square of the second: 3 of a normal distribution, not 0;
  /// NaN where nothing varies.
  double kurtosis() const;

 private:
  double mean_square() const;

  int64_t count_ = 0;
  double mean_ = 0, m2_ = 0, m3_ = 0, m4_ = 0;  ///< sums of powers of the distance from the mean
  double largest_ = 0;
};

}  // namespace vit22b::metrics
