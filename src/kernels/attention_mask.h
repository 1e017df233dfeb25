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

}  // namespace vit22b
