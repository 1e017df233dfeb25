#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/rng.h"

namespace vit22b {

/// A way of spoiling pictures in five severities: ImageNet-C's (Hendrycks and Dietterich 2019) with
/// the formulas and constants of the Python package imagecorruptions 1.1.2, whose own generator's
/// numbers are replaced by counter-based ones. Frost is a generated pattern where the package
/// pastes photographs.
struct Corruption {
  std::string name;   ///< "gaussian_noise"
  std::string group;  ///< noise, blur, weather, digital, or extra, which no mean counts
};

/// The fifteen, and the extra ones behind them.
std::vector<Corruption> corruptions();

/// A spoilt picture.
///
/// image_HWC  uint8 [H, W, 1 or 3], at least 8 x 8; a grey picture stays grey
/// severity   1 to 5
/// draw       which of the random ones: the same number gives the same picture
/// throws     UsageError for another name, with the nearest; DataError for a smaller picture
at::Tensor corrupted(const at::Tensor& image_HWC, const std::string& name, int64_t severity,
                     uint64_t draw);

}  // namespace vit22b
