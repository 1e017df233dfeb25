#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>

#include "core/file.h"

namespace vit22b {

/// The three directions in which patch tokens differ most, and the range that they are drawn in.
struct PcaBasis {
  at::Tensor mean_D;         ///< float32
  at::Tensor directions_3D;  ///< of length 1; the entry of largest magnitude is positive
  at::Tensor low_3, high_3;  ///< of the tokens that it was fitted to: drawn as 0 and 1
};

/// Sums from which a basis is fitted, image by image.
class PcaFit {
 public:
  /// tokens_ND  of one width D
  void add(const at::Tensor& tokens_ND);
  /// The mean and the directions; the range is left undefined.
  ///
  /// throws  DataError for fewer than two tokens
  PcaBasis basis() const;

 private:
  int64_t count_ = 0;
  at::Tensor sum_D_, products_DD_;  // float64: the covariance is a difference of large sums
};

/// tokens [N, D] → [N, 3], in the basis.
at::Tensor project(const PcaBasis& basis, const at::Tensor& tokens_ND);

/// Sets a basis's range from projections [N, 3] of what it was fitted to: the 1st and 99th
/// percentile, so that a few tokens do not leave all others grey.
void set_range(PcaBasis& basis, const at::Tensor& projected_N3);

/// Projections as colours from 0 to 1.
at::Tensor colours(const PcaBasis& basis, const at::Tensor& projected_N3);

/// A basis as a safetensors file, for pictures of other images in the same colours.
void save_basis(FileOps& ops, const std::filesystem::path& path, const PcaBasis& basis);
/// throws  CheckpointError for a damaged file, DataError for a basis of another width
PcaBasis load_basis(const std::filesystem::path& path, int64_t width);

}  // namespace vit22b
