// What the Highway sources share: loads and stores of float32 and bfloat16, e^x and 1/x. Included
// once for each instruction set, inside its namespace's source.
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/rows.h"
#include "kernels/cpu/tile.h"

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

#if HWY_TARGET <= HWY_AVX3
// bfloat16 that the CPU rounds by an instruction of its own (AVX-512 BF16).
struct NativeHalf {
  uint16_t bits;
};
HWY_INLINE V load(const NativeHalf* p, int64_t n) {
  return load(&p->bits, n);
}
HWY_INLINE void store(V v, NativeHalf* p, int64_t n) {
  __m256i packed;
  asm("vcvtneps2bf16 %1, %0" : "=v"(packed) : "v"(v.raw));
  if (n >= lanes()) return _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), packed);
  const auto mask = static_cast<__mmask16>((1U << n) - 1U);
  _mm256_mask_storeu_epi16(p, mask, packed);
}
#endif

// Calls f with a typed pointer: float* or uint16_t* (bfloat16).
template <class F>
HWY_INLINE void typed(const Rows& rows, const F& f) {
  if (rows.storage == Storage::kFloat32)
    f(static_cast<float*>(rows.data));
  else
    f(static_cast<uint16_t*>(rows.data));
}

// The same for what is written: also NativeHalf*.
template <class F>
HWY_INLINE void typed_out(const Rows& rows, const F& f) {
#if HWY_TARGET <= HWY_AVX3
  if (rows.storage == Storage::kBFloat16 && has_half_products())
    return f(static_cast<NativeHalf*>(rows.data));
#endif
  typed(rows, f);
}

// e^x, 2 ulp, infinite from 88.8 on (AVX-512) or held at e^88; 0 below -87.3, where it would be a
// subnormal: making those takes ten times as long. A NaN stays one. Range reduction by ln 2 in two
// parts, then the series of e^r to the sixth power on |r| <= ln 2 / 2, its coefficients minimax
// (Cephes' expf).
HWY_INLINE V exponential(V x) {
  const V low = constant(-87.336544);
  const auto is_tiny = hn::Lt(x, low);
  x = hn::Max(low, x);  // e^-inf; the second operand is the one kept for a NaN
#if HWY_TARGET > HWY_AVX3
  x = hn::Min(constant(88), x);
#endif
  const V n = hn::Round(hn::Mul(x, constant(1.44269504088896341)));
  V r = hn::NegMulAdd(n, constant(0.693359375), x);
  r = hn::NegMulAdd(n, constant(-2.12194440e-4), r);
  V p = constant(1.9875691500e-4);
  p = hn::MulAdd(p, r, constant(1.3981999507e-3));
  p = hn::MulAdd(p, r, constant(8.3334519073e-3));
  p = hn::MulAdd(p, r, constant(4.1665795894e-2));
  p = hn::MulAdd(p, r, constant(1.6666665459e-1));
  p = hn::MulAdd(p, r, constant(5.0000001201e-1));
  p = hn::MulAdd(p, hn::Mul(r, r), hn::Add(r, constant(1)));
#if HWY_TARGET <= HWY_AVX3
  return hn::IfThenZeroElse(is_tiny, V{_mm512_scalef_ps(p.raw, n.raw)});
#else
  const Int di;
  const auto power = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  return hn::IfThenZeroElse(is_tiny, hn::Mul(p, hn::BitCast(Float(), power)));
#endif
}

// 1 / x for normal x, 1 ulp: the hardware's estimate (14 bits on AVX-512, else 12) and Newton
// steps.
HWY_INLINE V reciprocal(V x) {
  V y = hn::ApproximateReciprocal(x);
#if HWY_TARGET > HWY_AVX3
  y = hn::Mul(y, hn::NegMulAdd(x, y, constant(2)));
#endif
  return hn::Mul(y, hn::NegMulAdd(x, y, constant(2)));
}

}  // namespace vit22b::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
