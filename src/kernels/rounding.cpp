#include "kernels/rounding.h"

namespace vit22b {

at::Tensor round_stochastically(const at::Tensor& x, const CounterRng& rng) {
  at::Tensor random = at::empty(x.sizes(), at::kInt);
  rng.fill_bits({reinterpret_cast<uint32_t*>(random.mutable_data_ptr<int32_t>()),
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
