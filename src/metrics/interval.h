#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace vit22b::metrics {

/// A 95 % confidence interval.
struct Interval {
  double low = 0, high = 0;
};

/// Wilson's score interval of a share of `num_right` in `num`; NaN for no samples.
///
/// source  Wilson 1927; z = 1.959964
Interval wilson_interval(int64_t num_right, int64_t num);

/// The percentile bootstrap of a mean over runs and samples at once: 2,000 resamples, each of whole
/// rows and whole columns.
///
/// values_SN  one row a run (such as a seed), one column a test sample; with one row, samples alone
/// seed       of the resampling; the same seed gives the same interval
Interval bootstrap_interval(const at::Tensor& values_SN, uint64_t seed);

/// What resamples gave, without 2.5 % at either end; at least one value.
Interval middle_of(std::vector<double> values);

}  // namespace vit22b::metrics
