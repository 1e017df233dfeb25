#include "kernels/cpu/pack.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/pack.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>

#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vit22b::cpu::HWY_NAMESPACE {

// Pairs of bfloat16 from two rows; `high` null stands for zeros.
void pair_rows_impl(const uint16_t* low, const uint16_t* high, int64_t n, float* words) {
  const hn::RebindToUnsigned<Float> du;
  for (int64_t j = 0; j < n; j += lanes()) {
    auto word = hn::ShiftRight<16>(hn::BitCast(du, load(low + j, n - j)));
    if (high != nullptr) word = hn::Or(word, hn::BitCast(du, load(high + j, n - j)));
    store(hn::BitCast(Float(), word), words + j, n - j);
  }
}

void pack_pairs_impl(const uint16_t* b, int64_t stride, int64_t k, int64_t n, float* panel) {
  const int64_t width = panel_width(n);
  for (int64_t i = 0; i < k; i += 2, b += 2 * stride, panel += width) {
    pair_rows_impl(b, i + 1 < k ? b + stride : nullptr, n, panel);
    std::fill(panel + n, panel + width, 0.0F);
  }
}

void pack_rows_impl(const float* b, int64_t stride, int64_t k, int64_t n, float* panel) {
  const Float d;
  const int64_t width = panel_width(n);
  for (int64_t i = 0; i < k; ++i, b += stride, panel += width) {
    for (int64_t j = 0; j < width; j += lanes()) {
      const V v = j < n ? load(b + j, n - j) : hn::Zero(d);
      hn::Store(v, d, panel + j);
    }
  }
}

void round_to_half_impl(float* values, int64_t n) {
  for (int64_t j = 0; j < n; j += lanes())
    store(rounded_to_half(load(values + j, n - j)), values + j, n - j);
}

#if HWY_TARGET != HWY_SCALAR
// Four rows of the transpose of four vectors, block of four lanes by block.
template <class D>
HWY_INLINE void store_transposed(D d, const hn::Vec<D> (&rows)[4], float* out, int64_t out_stride) {
  const hn::Repartition<double, D> d2;
  const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d, rows[0], rows[1])),
             low23 = hn::BitCast(d2, hn::InterleaveLower(d, rows[2], rows[3])),
             high01 = hn::BitCast(d2, hn::InterleaveUpper(d, rows[0], rows[1])),
             high23 = hn::BitCast(d2, hn::InterleaveUpper(d, rows[2], rows[3]));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, low01, low23)), d, out);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, low01, low23)), d, out + out_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, high01, high23)), d, out + 2 * out_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, high01, high23)), d, out + 3 * out_stride);
}

HWY_INLINE void transpose_4_rows(const float* from, int64_t stride, int64_t columns, float* out,
                                 int64_t out_stride) {
  const hn::FixedTag<float, 4> d;
  for (int64_t i = 0; i < columns; i += 4, from += 4, out += 4 * out_stride)
    store_transposed(d,
                     {hn::LoadU(d, from), hn::LoadU(d, from + stride),
                      hn::LoadU(d, from + 2 * stride), hn::LoadU(d, from + 3 * stride)},
                     out, out_stride);
}
#endif

#if HWY_TARGET <= HWY_AVX3
// Four values of each of the rows 0, 4, 8, 12, side by side: loads that leave the shuffles alone.
HWY_INLINE V load_every_fourth_row(const float* from, int64_t stride) {
  const auto part = [&](int64_t row) { return _mm_loadu_ps(from + row * stride); };
  __m512 v = _mm512_castps128_ps512(part(0));
  v = _mm512_mask_broadcast_f32x4(v, 0x00f0, part(4));
  v = _mm512_mask_broadcast_f32x4(v, 0x0f00, part(8));
  return V{_mm512_mask_broadcast_f32x4(v, 0xf000, part(12))};
}

HWY_INLINE void transpose_16_rows(const float* from, int64_t stride, int64_t columns, float* out,
                                  int64_t out_stride) {
  const auto rows = [&](int64_t first) {
    return load_every_fourth_row(from + first * stride, stride);
  };
  for (int64_t i = 0; i < columns; i += 4, from += 4, out += 4 * out_stride)
    store_transposed(Float(), {rows(0), rows(1), rows(2), rows(3)}, out, out_stride);
}
#endif

void transpose_impl(const float* from, int64_t stride, int64_t rows, int64_t columns, float* out,
                    int64_t out_stride) {
  int64_t row = 0;
  const auto scalar = [&](int64_t count, int64_t first_column) {
    for (int64_t i = first_column; i < columns; ++i)
      for (int64_t j = row; j < row + count; ++j) out[i * out_stride + j] = from[j * stride + i];
  };
  [[maybe_unused]] const int64_t whole = columns / 4 * 4;
#if HWY_TARGET <= HWY_AVX3
  for (; row + 16 <= rows; row += 16) {
    transpose_16_rows(from + row * stride, stride, whole, out + row, out_stride);
    scalar(16, whole);
  }
#endif
#if HWY_TARGET != HWY_SCALAR
  for (; row + 4 <= rows; row += 4) {
    transpose_4_rows(from + row * stride, stride, whole, out + row, out_stride);
    scalar(4, whole);
  }
#endif
  scalar(rows - row, 0);
}

void pack_transposed_impl(const float* w, int64_t stride, int64_t k, int64_t n, float* panel) {
  const int64_t width = panel_width(n);
  transpose_impl(w, stride, n, k, panel, width);
  if (n == width) return;
  for (int64_t i = 0; i < k; ++i) std::fill(panel + i * width + n, panel + (i + 1) * width, 0.0F);
}

}  // namespace vit22b::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vit22b::cpu {
namespace {
HWY_EXPORT(pair_rows_impl);
HWY_EXPORT(pack_pairs_impl);
HWY_EXPORT(pack_rows_impl);
HWY_EXPORT(pack_transposed_impl);
HWY_EXPORT(round_to_half_impl);
HWY_EXPORT(transpose_impl);
}  // namespace

void pack_pairs(const uint16_t* b, int64_t stride, int64_t k, int64_t n, float* panel) {
  HWY_DYNAMIC_DISPATCH(pack_pairs_impl)(b, stride, k, n, panel);
}

void pair_rows(const uint16_t* low, const uint16_t* high, int64_t n, float* words) {
  HWY_DYNAMIC_DISPATCH(pair_rows_impl)(low, high, n, words);
}

void pack_rows(const float* b, int64_t stride, int64_t k, int64_t n, float* panel) {
  HWY_DYNAMIC_DISPATCH(pack_rows_impl)(b, stride, k, n, panel);
}

void pack_transposed(const float* w, int64_t stride, int64_t k, int64_t n, float* panel) {
  HWY_DYNAMIC_DISPATCH(pack_transposed_impl)(w, stride, k, n, panel);
}

void round_to_half(float* values, int64_t n) {
  HWY_DYNAMIC_DISPATCH(round_to_half_impl)(values, n);
}

void transpose(const float* from, int64_t stride, int64_t rows, int64_t columns, float* out,
               int64_t out_stride) {
  HWY_DYNAMIC_DISPATCH(transpose_impl)(from, stride, rows, columns, out, out_stride);
}

}  // namespace vit22b::cpu
#endif
