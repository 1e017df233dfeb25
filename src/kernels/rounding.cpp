#include "kernels/rounding.h"

#include <algorithm>

namespace vit22b {

void RoundingBits::fill(std::span<uint32_t> out, int64_t first) const {
  const PartLayout& l = layout;
  if (l.num_ranges == 0) return rng.fill_bits(out, static_cast<uint64_t>(first));
  const bool has_whole_rows = l.columns == l.whole_columns;
  int range = 0;
  for (int64_t at = first; !out.empty();) {
    const int64_t row = at / l.columns, column = at % l.columns;
    while (range + 1 < l.num_ranges && l.rows[range + 1].first <= row) ++range;
    auto count = static_cast<int64_t>(out.size());
    if (!has_whole_rows)
      count = std::min(count, l.columns - column);
    else if (range + 1 < l.num_ranges)
      count = std::min(count, (l.rows[range + 1].first - row) * l.columns - column);
    const int64_t whole = (row + l.rows[range].shift) * l.whole_columns + l.first_column + column;
    rng.fill_bits(out.first(static_cast<size_t>(count)), static_cast<uint64_t>(whole));
    out = out.subspan(static_cast<size_t>(count));
    at += count;
  }
}

at::Tensor round_stochastically(const at::Tensor& x, const RoundingBits& rounding) {
  at::Tensor random = at::empty(x.sizes(), at::kInt);
  rounding.fill({reinterpret_cast<uint32_t*>(random.mutable_data_ptr<int32_t>()),
                 static_cast<size_t>(x.numel())},
                0);
  constexpr int64_t kLow = 0xffff, kHigh = -0x10000;
  const at::Tensor bits = x.contiguous().view(at::kInt);
  const at::Tensor rounded =
      bits.add(random.to(x.device()).bitwise_and(kLow)).bitwise_and(kHigh).view(at::kFloat);
  // Adding below the sign and exponent of an infinity or a NaN would make another of it.
  return at::where(at::isfinite(x), rounded, x).to(at::kBFloat16);
}

}  // namespace vit22b
