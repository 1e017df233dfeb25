#pragma once
#include <ATen/core/Tensor.h>

namespace vit22b {

/// Which keys a query sees.
struct AttentionMask {
  bool is_causal = false;  ///< those up to its own place; of as many queries as keys
  at::Tensor lengths_B;  ///< int64 on the CPU: a sample's first keys, one at least; undefined: all

  bool is_everything() const { return !is_causal && !lengths_B.defined(); }
  /// [B or 1, 1, queries, keys] bool on a device: what is seen.
  at::Tensor seen(int64_t num_queries, int64_t num_keys, at::Device device) const;
  /// throws  InternalError for lengths that are not B numbers of 1 to `num_keys`, and for a causal
  ///         mask of other counts
  void check(int64_t batch, int64_t num_queries, int64_t num_keys) const;
};

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
