#include "kernels/rotary.h"

#include "core/error.h"

namespace vit22b {

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
