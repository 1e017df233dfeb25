#include "kernels/attention_mask.h"

#include "core/error.h"

namespace vit22b {

at::Tensor AttentionMask::seen(int64_t num_queries, int64_t num_keys, at::Device device) const {
  const at::Tensor keys = at::arange(num_keys, at::TensorOptions(device).dtype(at::kLong));
  at::Tensor seen = at::ones({1, 1, num_queries, num_keys}, keys.options().dtype(at::kBool));
  if (is_causal) seen = seen.tril();
  if (lengths_B.defined()) seen = seen.logical_and(keys < lengths_B.to(device).view({-1, 1, 1, 1}));
  return seen;
}

void AttentionMask::check(int64_t batch, int64_t num_queries, int64_t num_keys) const {
  VIT22B_CHECK(!is_causal || num_queries == num_keys,
               "attention: a causal mask is of as many queries as keys");
  if (!lengths_B.defined()) return;
  VIT22B_CHECK(lengths_B.is_cpu() && lengths_B.scalar_type() == at::kLong &&
                   lengths_B.sizes() == at::IntArrayRef({batch}) && lengths_B.is_contiguous(),
               "attention: lengths are int64 on the CPU, one a sample");
  const auto* lengths = lengths_B.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < batch; ++i)
    VIT22B_CHECK(lengths[i] >= 1 && lengths[i] <= num_keys,
                 "attention: a sample sees one key at least, and no more than there are");
}

}  // namespace vit22b
