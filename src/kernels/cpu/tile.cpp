#include "kernels/cpu/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/tile.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace vit22b::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Float = hn::ScalableTag<float>;
using Vector = hn::Vec<Float>;

#if HWY_TARGET <= HWY_AVX3
// 6 x 4 accumulators, 4 columns of the panel and a broadcast fill 29 of the 32 registers; a row's
// broadcast serves 4 products, so that loads stay under half of the load ports.
constexpr int kVectors = 4;
#else
constexpr int kVectors = 2;  // 6 x 2, for 16 registers
#endif
constexpr int kRows = static_cast<int>(kTileRows);

// One block of C: kM rows, kN vectors. Only the last vector may be partial (`tail` of its lanes).
template <int kM, int kN>
HWY_INLINE void product_block(const TileProduct& p, const float* HWY_RESTRICT a,
                              const float* HWY_RESTRICT panel, int64_t panel_stride,
                              float* HWY_RESTRICT c, size_t tail) {
  const Float d;
  const size_t lanes = hn::Lanes(d);
  Vector sum[kM][kN];
#pragma GCC unroll 8
  for (int i = 0; i < kM; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < kN; ++j) sum[i][j] = hn::Zero(d);
  const int64_t row = p.a_row_stride, step = p.a_k_stride;
  for (int64_t k = 0; k < p.k; ++k) {
    Vector b[kN];
#pragma GCC unroll 8
    for (int j = 0; j < kN; ++j) b[j] = hn::Load(d, panel + j * lanes);
#pragma GCC unroll 8
    for (int i = 0; i < kM; ++i) {
      const Vector x = hn::Set(d, a[i * row]);
#pragma GCC unroll 8
      for (int j = 0; j < kN; ++j) sum[i][j] = hn::MulAdd(x, b[j], sum[i][j]);
    }
    panel += panel_stride;
    a += step;
  }
  const auto mask = hn::FirstN(d, tail);
  for (int i = 0; i < kM; ++i) {
    float* out = c + i * p.c_stride;
#pragma GCC unroll 8
    for (int j = 0; j < kN; ++j) {
      if (j + 1 < kN || tail == lanes) {
        if (p.is_accumulating) sum[i][j] = hn::Add(sum[i][j], hn::LoadU(d, out + j * lanes));
        hn::StoreU(sum[i][j], d, out + j * lanes);
      } else {
        if (p.is_accumulating)
          sum[i][j] = hn::Add(sum[i][j], hn::MaskedLoad(mask, d, out + j * lanes));
        hn::BlendedStore(sum[i][j], mask, d, out + j * lanes);
      }
    }
  }
}

template <int kN>
HWY_INLINE void product_columns(const TileProduct& p, int64_t column, int64_t panel_stride,
                                size_t tail) {
  const float* panel = p.panel + column;
  float* c = p.c + column;
  int64_t i = 0;
  for (; i + kRows <= p.m; i += kRows)
    product_block<kRows, kN>(p, p.a + i / kRows * p.a_group_stride, panel, panel_stride,
                             c + i * p.c_stride, tail);
  const float* a = p.a + i / kRows * p.a_group_stride;
  c += i * p.c_stride;
  switch (p.m - i) {
    case 5: return product_block<5, kN>(p, a, panel, panel_stride, c, tail);
    case 4: return product_block<4, kN>(p, a, panel, panel_stride, c, tail);
    case 3: return product_block<3, kN>(p, a, panel, panel_stride, c, tail);
    case 2: return product_block<2, kN>(p, a, panel, panel_stride, c, tail);
    case 1: return product_block<1, kN>(p, a, panel, panel_stride, c, tail);
    default: return;
  }
}

void TileProductImpl(const TileProduct& p) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(Float()));
  const int64_t stride = panel_width(p.n);
  for (int64_t column = 0; column < p.n; column += kVectors * lanes) {
    const int64_t columns = std::min<int64_t>(kVectors * lanes, p.n - column);
    const int64_t vectors = (columns + lanes - 1) / lanes;
    const auto tail = static_cast<size_t>(columns - (vectors - 1) * lanes);
    switch (vectors) {
#if HWY_TARGET <= HWY_AVX3
      case 4: product_columns<4>(p, column, stride, tail); break;
      case 3: product_columns<3>(p, column, stride, tail); break;
#endif
      case 2: product_columns<2>(p, column, stride, tail); break;
      default: product_columns<1>(p, column, stride, tail); break;
    }
  }
}

void PackRowsImpl(const float* b, int64_t stride, int64_t k, int64_t n, float* panel) {
  const Float d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t width = panel_width(n);
  for (int64_t i = 0; i < k; ++i, b += stride, panel += width) {
    int64_t j = 0;
    for (; j + lanes <= n; j += lanes) hn::Store(hn::LoadU(d, b + j), d, panel + j);
    for (; j < width; j += lanes)
      hn::Store(hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(std::max<int64_t>(0, n - j))), d,
                               b + j),
                d, panel + j);
  }
}

void PackTransposedImpl(const float* w, int64_t stride, int64_t k, int64_t n, float* panel) {
  const int64_t width = panel_width(n);
#if HWY_TARGET == HWY_SCALAR
  const int64_t whole_n = 0, whole_k = 0;
#else
  const int64_t whole_n = n / 4 * 4, whole_k = k / 4 * 4;
  const hn::FixedTag<float, 4> d;
  const hn::Repartition<double, decltype(d)> d2;
  for (int64_t i = 0; i < whole_k; i += 4)
    for (int64_t j = 0; j < whole_n; j += 4) {
      const float* in = w + j * stride + i;
      const auto r0 = hn::LoadU(d, in), r1 = hn::LoadU(d, in + stride),
                 r2 = hn::LoadU(d, in + 2 * stride), r3 = hn::LoadU(d, in + 3 * stride);
      const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d, r0, r1)),
                 low23 = hn::BitCast(d2, hn::InterleaveLower(d, r2, r3)),
                 high01 = hn::BitCast(d2, hn::InterleaveUpper(d, r0, r1)),
                 high23 = hn::BitCast(d2, hn::InterleaveUpper(d, r2, r3));
      float* out = panel + i * width + j;
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, low01, low23)), d, out);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, low01, low23)), d, out + width);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, high01, high23)), d, out + 2 * width);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, high01, high23)), d, out + 3 * width);
    }
#endif
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = i < whole_k ? whole_n : 0; j < n; ++j) panel[i * width + j] = w[j * stride + i];
    std::fill(panel + i * width + n, panel + (i + 1) * width, 0.0F);
  }
}

}  // namespace vit22b::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vit22b::cpu {
namespace {
HWY_EXPORT(TileProductImpl);
HWY_EXPORT(PackRowsImpl);
HWY_EXPORT(PackTransposedImpl);
}  // namespace

void tile_product(const TileProduct& product) {
  HWY_DYNAMIC_DISPATCH(TileProductImpl)(product);
}

void pack_rows(const float* b, int64_t stride, int64_t k, int64_t n, float* panel) {
  HWY_DYNAMIC_DISPATCH(PackRowsImpl)(b, stride, k, n, panel);
}

void pack_transposed(const float* w, int64_t stride, int64_t k, int64_t n, float* panel) {
  HWY_DYNAMIC_DISPATCH(PackTransposedImpl)(w, stride, k, n, panel);
}

const char* instruction_set() {
  const int64_t best = hwy::SupportedTargets() & HWY_TARGETS;
  return hwy::TargetName(best & -best);
}

}  // namespace vit22b::cpu
#endif
