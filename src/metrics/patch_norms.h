#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace vit22b::metrics {

/// A patch token this many times as long as the median of its picture's is an artefact. Tokens of
/// DINOv2-g that Darcet et al. call so (norms over 150, beside a median of some 50) are.
constexpr double kArtefactRatio = 3;

/// How many patch tokens are far longer than the others of their picture: what takes the place of
/// registers in large models without them.
///
/// source  Darcet et al. 2023, Vision transformers need registers (arXiv 2309.16588) section 2.1,
///         with the median in place of a threshold of one model's
class PatchNorms {
 public:
  /// norms_BN  of the patch tokens of each picture
  void add(const at::Tensor& norms_BN);

  int64_t num_patches() const { return num_patches_; }
  int64_t num_artefacts() const { return num_artefacts_; }
  /// Pictures with at least one.
  int64_t num_pictures_with() const { return num_pictures_with_; }
  /// NaN of no patches.
  double artefact_share() const;
  /// The largest norm over its picture's median; NaN of no patches, or where one is not finite.
  double largest_ratio() const;

 private:
  int64_t num_patches_ = 0, num_artefacts_ = 0, num_pictures_with_ = 0;
  double largest_ratio_ = 0;
};

}  // namespace vit22b::metrics
