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

void RotaryTables::check(int64_t num_tokens, int64_t head_size) const {
  if (!is_defined()) return;
  for (const at::Tensor* table : {&cos_TK, &sin_TK})
    VIT22B_CHECK(table->scalar_type() == at::kFloat && table->is_contiguous() &&
                     table->sizes() == at::IntArrayRef({num_tokens, head_size}),
                 "attention: rotary tables are float32, a row a token, a column a feature");
  VIT22B_CHECK(head_size % 2 == 0, "attention: features turn in pairs");
}

RotaryTables RotaryTables::reversed() const {
  return is_defined() ? RotaryTables{cos_TK, sin_TK.neg(), is_half} : RotaryTables();
}

at::Tensor rotate(const at::Tensor& x, const RotaryTables& tables, int64_t token_dim) {
  if (!tables.is_defined()) return x;
  const at::Tensor values = x.to(at::kFloat);
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[static_cast<size_t>(token_dim)] = x.size(token_dim);
  shape.back() = x.size(-1);
  const int64_t half = x.size(-1) / 2;
  const at::Tensor partners =
      tables.is_half
          ? at::cat({-values.narrow(-1, half, half), values.narrow(-1, 0, half)}, -1)
          : at::stack({-values.slice(-1, 1, {}, 2), values.slice(-1, 0, {}, 2)}, -1).flatten(-2);
  return (values * tables.cos_TK.view(shape) + partners * tables.sin_TK.view(shape))
      .to(x.scalar_type());
}

}  // namespace vit22b
