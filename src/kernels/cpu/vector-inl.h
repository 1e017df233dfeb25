// What the Highway sources share: loads and stores of float32 and bfloat16. Included once for each
// instruction set, inside its namespace's source.
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace vit22b::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Float = hn::ScalableTag<float>;
using Int = hn::RebindToSigned<Float>;
using V = hn::Vec<Float>;
constexpr int64_t lanes() {
  return static_cast<int64_t>(hn::MaxLanes(Float()));
}

HWY_INLINE V constant(double value) {
  return hn::Set(Float(), static_cast<float>(value));
}

// The first n lanes (all where n is larger) of float32 or bfloat16; the others are zero.
HWY_INLINE V load(const float* p, int64_t n) {
  const Float d;
  return n >= lanes() ? hn::LoadU(d, p)
                      : hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(n)), d, p);
}
HWY_INLINE void store(V v, float* p, int64_t n) {
  const Float d;
  if (n >= lanes()) return hn::StoreU(v, d, p);
  hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(n)), d, p);
}
HWY_INLINE V load(const uint16_t* p, int64_t n) {
  const Int di;
  const hn::Rebind<uint16_t, Int> half;
  HWY_ALIGN uint16_t padded[hn::MaxLanes(di)];
  if (n < lanes()) {
    std::copy(p, p + n, padded);
    std::fill(padded + n, padded + lanes(), uint16_t{0});
    p = padded;
  }
  return hn::BitCast(Float(), hn::ShiftLeft<16>(hn::PromoteTo(di, hn::LoadU(half, p))));
}

// The bits of bfloat16 in the low half of each lane, rounded to nearest, ties to even.
HWY_INLINE hn::Vec<Int> rounded_bits(V v) {
  const Int di;
  const auto bits = hn::BitCast(di, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(di, 1));
  const auto rounded = hn::Add(hn::Add(bits, hn::Set(di, 0x7fff)), odd);
  return hn::And(hn::ShiftRight<16>(rounded), hn::Set(di, 0xffff));
}
HWY_INLINE V rounded_to_half(V v) {
  return hn::BitCast(Float(), hn::ShiftLeft<16>(rounded_bits(v)));
}
HWY_INLINE void store(V v, uint16_t* p, int64_t n) {
  const Int di;
  const hn::Rebind<uint16_t, Int> half;
  const auto packed = hn::DemoteTo(half, rounded_bits(v));
  if (n >= lanes()) return hn::StoreU(packed, half, p);
  HWY_ALIGN uint16_t padded[hn::MaxLanes(di)];
  hn::StoreU(packed, half, padded);
  std::copy(padded, padded + n, p);
}

}  // namespace vit22b::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
