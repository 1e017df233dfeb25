#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace vit22b::metrics {

/// How far apart the values of two tensors of one shape are, whatever their dtypes: reckoned in
/// float64, which holds every float32, bfloat16 and float16 exactly. NaN equals NaN, and an
/// infinity itself; a place where they differ and one of them is not finite is counted and has no
/// part in the sizes.
class TensorDifference {
 public:
  /// Adds values in the same places, a part of a tensor or all of it.
  ///
  /// throws  InternalError for other shapes
  void add(const at::Tensor& first, const at::Tensor& second);

  bool is_equal() const { return num_different_ == 0; }
  int64_t num_values() const { return num_values_; }
  int64_t num_different() const { return num_different_; }
  /// Places where one alone is NaN.
  int64_t num_nan_first() const { return num_nan_first_; }
  int64_t num_nan_second() const { return num_nan_second_; }
  /// Places that differ where one is infinite and none NaN.
  int64_t num_infinite() const { return num_infinite_; }
  /// The largest |first - second| where both are finite; NaN where that is nowhere.
  double max_abs() const;
  /// Length of the difference over the first's length, of the places where both are finite; NaN
  /// where the first has length 0 and the second has not.
  double relative() const;

 private:
  void add_part(const at::Tensor& a, const at::Tensor& b);

  int64_t num_values_ = 0, num_different_ = 0, num_finite_ = 0;
  int64_t num_nan_first_ = 0, num_nan_second_ = 0, num_infinite_ = 0;
  double max_abs_ = 0, squares_ = 0, squares_first_ = 0;
};

}  // namespace vit22b::metrics
