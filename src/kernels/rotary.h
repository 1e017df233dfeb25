#pragma once
#include <ATen/core/Tensor.h>

namespace vit22b {

/// Rotations of queries and keys by their tokens' places (arXiv 2104.09864), after QK norms.
///
/// Features turn in pairs whose partners have the same angle: (2i, 2i + 1), or (i, i + K / 2).
/// Prefix tokens have the angle 0.
struct RotaryTables {
  at::Tensor cos_TK, sin_TK;  ///< float32, on the queries' device; undefined: no rotation
  bool is_half = false;       ///< partners lie half a head apart

  bool is_defined() const { return cos_TK.defined(); }
  /// throws  InternalError for tables that are not contiguous float32 [tokens, head_size]
  void check(int64_t num_tokens, int64_t head_size) const;
  /// The rotations back: the derivative's.
  RotaryTables reversed() const;
};

/// x rotated in float32, in its dtype; x itself without tables.
///
/// x          [..., K] with T tokens along `token_dim`
at::Tensor rotate(const at::Tensor& x, const RotaryTables& tables, int64_t token_dim);

}  // namespace vit22b
