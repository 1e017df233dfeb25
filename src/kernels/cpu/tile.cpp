#include "kernels/cpu/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/tile.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>

#include <algorithm>
#include <cstring>

#include "core/instructions.h"
#include "kernels/cpu/amx.h"
#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vit22b::cpu::HWY_NAMESPACE {

#if HWY_TARGET <= HWY_AVX3
// 6 x 4 sums, 4 vectors of the panel and a broadcast: 29 of 32 registers.
constexpr int kVectors = 4;
// Rows of A whose broadcast is an instruction of its own, used for 4 products. The others are
// broadcast inside each product: that costs load slots, of which there are enough, and saves issue
// slots, which run out first where another thread shares the core (10 % of the rate there).
constexpr int kBroadcastRows = 4;
#else
constexpr int kVectors = 2;  // 6 x 2, for 16 registers
constexpr int kBroadcastRows = static_cast<int>(kTileRows);
#endif
constexpr int kRows = static_cast<int>(kTileRows);
constexpr int64_t kUnrolledK = 4;
constexpr int64_t kPrefetchRows = 8;  // how far ahead of its use a panel's row is asked for

// How a word of A and a vector of the panel are multiplied.
enum class Words { kFloat32, kHalf, kHalfByParts };

// sum += x * b, where x is one word for all lanes.
template <Words kWords>
HWY_INLINE void add_product(V& sum, V x, V b) {
  if constexpr (kWords == Words::kFloat32) {
    sum = hn::MulAdd(x, b, sum);
  } else if constexpr (kWords == Words::kHalfByParts) {
    const hn::RebindToSigned<Float> di;
    const auto low = [&](V v) {
      return hn::BitCast(Float(), hn::ShiftLeft<16>(hn::BitCast(di, v)));
    };
    const auto high = [&](V v) {
      return hn::BitCast(Float(), hn::And(hn::BitCast(di, v), hn::Set(di, int32_t{-65536})));
    };
    sum = hn::MulAdd(low(x), low(b), hn::MulAdd(high(x), high(b), sum));
  } else {
#if HWY_TARGET <= HWY_AVX3
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(b.raw), "v"(x.raw));
#endif
  }
}

template <Words kWords>
HWY_INLINE void add_product_with_broadcast(V& sum, const float* x, V b) {
#if HWY_TARGET <= HWY_AVX3
  // The compiler would hoist the broadcast out of the four products of a row.
  if constexpr (kWords == Words::kFloat32) {
    asm("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum.raw) : "v"(b.raw), "m"(*x));
    return;
  }
  if constexpr (kWords == Words::kHalf) {
    asm("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sum.raw) : "v"(b.raw), "m"(*x));
    return;
  }
#endif
  add_product<kWords>(sum, hn::Set(Float(), *x), b);
}

// How A lies within a group of rows: k next to k, or row next to row.
enum class Lie { kByRows, kByColumns };

// A block of C: kM rows, kN vectors, of a panel whose rows are kStride floats, or panel_stride
// where that is kInPlace. Strides that are known here become immediate offsets.
constexpr int kInPlace = 0;
template <Words kWords, int kM, int kN, int kStride, Lie kLie>
struct Block {
  const float* HWY_RESTRICT a;
  int64_t a_stride;  // between rows (kByRows) or steps of k (kByColumns)
  const float* HWY_RESTRICT panel;
  int64_t panel_stride;
  float* HWY_RESTRICT c;
  int64_t c_stride, k;
  size_t tail;  // lanes of the last vector
  bool is_accumulating;
};

// Moves a pointer by a stride, of which the compiler then makes nothing: it would keep a register
// or a place on the stack for each offset from the first.
HWY_INLINE void advance(const float*& p, int64_t stride) {
  p += stride;
  asm("" : "+r"(p));
}

// One step of k; moves a and the panel to the next.
template <Words kWords, int kM, int kN, int kStride, Lie kLie>
HWY_INLINE void product_step(V (&sum)[kM][kN], const Block<kWords, kM, kN, kStride, kLie>& p,
                             const float*& a, const float*& panel) {
  const Float d;
  constexpr int64_t kLanes = lanes();
  const int64_t panel_stride = kStride == kInPlace ? p.panel_stride : kStride;
  V b[kN];
#pragma GCC unroll 8
  for (int j = 0; j < kN; ++j) {
    b[j] = hn::Load(d, panel + j * kLanes);
    hwy::Prefetch(panel + kPrefetchRows * panel_stride + j * kLanes);
  }
#pragma GCC unroll 8
  for (int i = 0; i < kM; ++i) {
    const float* x = kLie == Lie::kByRows ? a + i * p.a_stride : a + i;
    if (i < kBroadcastRows) {
      const V all = hn::Set(d, *x);
#pragma GCC unroll 8
      for (int j = 0; j < kN; ++j) add_product<kWords>(sum[i][j], all, b[j]);
    } else {
#pragma GCC unroll 8
      for (int j = 0; j < kN; ++j) add_product_with_broadcast<kWords>(sum[i][j], x, b[j]);
    }
  }
  if constexpr (kLie == Lie::kByRows) {
    ++a;
  } else {
    advance(a, p.a_stride);
  }
  if constexpr (kStride == kInPlace) {
    advance(panel, panel_stride);
  } else {
    panel += kStride;
  }
}

// Not inlined: each block gets the registers for itself.
template <Words kWords, int kM, int kN, int kStride, Lie kLie>
HWY_NOINLINE void product_block(const Block<kWords, kM, kN, kStride, kLie>& p) {
  const Float d;
  constexpr size_t kLanes = hn::MaxLanes(Float());
  V sum[kM][kN];
#pragma GCC unroll 8
  for (int i = 0; i < kM; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < kN; ++j) sum[i][j] = hn::Zero(d);
  const float *a = p.a, *panel = p.panel;
  int64_t k = p.k;
  for (; k >= kUnrolledK; k -= kUnrolledK)
#pragma GCC unroll 8
    for (int64_t u = 0; u < kUnrolledK; ++u) product_step(sum, p, a, panel);
  for (; k > 0; --k) product_step(sum, p, a, panel);
  const auto mask = hn::FirstN(d, p.tail);
  float* c = p.c;
#pragma GCC unroll 8
  for (int i = 0; i < kM; ++i, c += p.c_stride)
#pragma GCC unroll 8
    for (int j = 0; j < kN; ++j) {
      float* out = c + j * kLanes;
      if (j + 1 < kN || p.tail == kLanes) {
        hn::StoreU(p.is_accumulating ? hn::Add(sum[i][j], hn::LoadU(d, out)) : sum[i][j], d, out);
      } else {
        const V old = p.is_accumulating ? hn::MaskedLoad(mask, d, out) : hn::Zero(d);
        hn::BlendedStore(hn::Add(sum[i][j], old), mask, d, out);
      }
    }
}

template <Words kWords, int kM, int kN, int kStride, Lie kLie>
HWY_INLINE void rows_block(const TileProduct& p, int64_t i, int64_t column, size_t tail) {
  product_block<kWords, kM, kN, kStride, kLie>(
      {p.a + i / kRows * p.a_group_stride, kLie == Lie::kByRows ? p.a_row_stride : p.a_k_stride,
       p.panel + column, p.panel_stride, p.c + column + i * p.c_stride, p.c_stride, p.k, tail,
       p.is_accumulating});
}

template <Words kWords, int kN, int kStride, Lie kLie>
void product_columns(const TileProduct& p, int64_t column, size_t tail) {
  int64_t i = 0;
  for (; i + kRows <= p.m; i += kRows)
    rows_block<kWords, kRows, kN, kStride, kLie>(p, i, column, tail);
  switch (p.m - i) {
    case 5:
      return rows_block<kWords, 5, kN, kStride, kLie>(p, i, column, tail);
    case 4:
      return rows_block<kWords, 4, kN, kStride, kLie>(p, i, column, tail);
    case 3:
      return rows_block<kWords, 3, kN, kStride, kLie>(p, i, column, tail);
    case 2:
      return rows_block<kWords, 2, kN, kStride, kLie>(p, i, column, tail);
    case 1:
      return rows_block<kWords, 1, kN, kStride, kLie>(p, i, column, tail);
    default:
      return;
  }
}

template <Words kWords, int kWidth, int kStride, Lie kLie>
void panel_product(const TileProduct& p) {
  constexpr int64_t kLanes = lanes();
#if HWY_TARGET <= HWY_AVX3
  // A panel is as many vectors as its width, the last one perhaps partial.
  constexpr int kN = kWidth / static_cast<int>(kLanes);
  product_columns<kWords, kN, kStride, kLie>(p, 0, static_cast<size_t>(p.n - (kN - 1) * kLanes));
#else
  for (int64_t column = 0; column < p.n; column += kVectors * kLanes) {
    const int64_t columns = std::min<int64_t>(kVectors * kLanes, p.n - column);
    const int64_t vectors = (columns + kLanes - 1) / kLanes;
    const auto tail = static_cast<size_t>(columns - (vectors - 1) * kLanes);
    vectors == 2 ? product_columns<kWords, 2, kStride, kLie>(p, column, tail)
                 : product_columns<kWords, 1, kStride, kLie>(p, column, tail);
  }
#endif
}

template <Words kWords, int kWidth, Lie kLie>
void product_panel(const TileProduct& p) {
  if constexpr (kWords == Words::kFloat32 && kLie == Lie::kByColumns)
    if (p.panel_stride != 0) return panel_product<kWords, kWidth, kInPlace, kLie>(p);
  panel_product<kWords, kWidth, kWidth, kLie>(p);
}

template <Words kWords, Lie kLie>
void product_of_width(const TileProduct& p) {
  switch (panel_width(p.n)) {
    case 16:
      return product_panel<kWords, 16, kLie>(p);
    case 32:
      return product_panel<kWords, 32, kLie>(p);
    case 48:
      return product_panel<kWords, 48, kLie>(p);
    default:
      return product_panel<kWords, 64, kLie>(p);
  }
}

template <Words kWords>
void product_of_words(const TileProduct& p) {
  p.a_row_stride == 1 ? product_of_width<kWords, Lie::kByColumns>(p)
                      : product_of_width<kWords, Lie::kByRows>(p);
}

void tile_product_impl(const TileProduct& p, [[maybe_unused]] bool is_half_native) {
  if (p.arithmetic == Arithmetic::kFloat32) return product_of_words<Words::kFloat32>(p);
#if HWY_TARGET <= HWY_AVX3
  if (is_half_native) return product_of_words<Words::kHalf>(p);
#endif
  product_of_words<Words::kHalfByParts>(p);
}

}  // namespace vit22b::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vit22b::cpu {
namespace {
HWY_EXPORT(tile_product_impl);

// Products of small whole numbers are exact either way, so that the two must be equal.
[[maybe_unused]] bool is_half_native_right() {
  constexpr int64_t kM = 7, kN = 64, kK = 5;
  alignas(64) float panel[kK * kN];
  float a[kM * kK], native[kM * kN], by_parts[kM * kN];
  const auto fill = [](float* words, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {  // bf16 of -4 .. 4: the high half of their float32
      const float low = static_cast<float>(i % 9 - 4), high = static_cast<float>(i * 5 % 9 - 4);
      uint32_t low_bits, high_bits;
      std::memcpy(&low_bits, &low, sizeof low);
      std::memcpy(&high_bits, &high, sizeof high);
      const uint32_t word = (low_bits >> 16) | (high_bits & 0xffff0000U);
      std::memcpy(words + i, &word, sizeof word);
    }
  };
  fill(panel, kK * kN);
  fill(a, kM * kK);
  TileProduct product{.arithmetic = Arithmetic::kHalf,
                      .a = a,
                      .a_row_stride = kK,
                      .a_group_stride = kTileRows * kK,
                      .panel = panel,
                      .c = native,
                      .c_stride = kN,
                      .m = kM,
                      .n = kN,
                      .k = kK};
  HWY_DYNAMIC_DISPATCH(tile_product_impl)(product, true);
  product.c = by_parts;
  HWY_DYNAMIC_DISPATCH(tile_product_impl)(product, false);
  return std::equal(native, native + kM * kN, by_parts);
}
}  // namespace

void tile_product(const TileProduct& product) {
  if (product.arithmetic == Arithmetic::kHalf && product.a_k_stride == 1 && has_matrix_unit())
    return matrix_unit_product(product);
  const bool is_native = product.arithmetic == Arithmetic::kHalf && has_half_products();
  HWY_DYNAMIC_DISPATCH(tile_product_impl)(product, is_native);
}

bool has_half_products() {
#if HWY_ARCH_X86
  static const bool kHas = may_use(Instructions::kAvx512Bf16) &&
                           __builtin_cpu_supports("avx512bf16") && is_half_native_right();
  return kHas;
#else
  return false;
#endif
}

const char* instruction_set() {
  const int64_t best = hwy::SupportedTargets() & HWY_TARGETS;
  return hwy::TargetName(best & -best);
}

std::string kernels_in_use() {
  const char* half = has_matrix_unit() ? "AMX" : has_half_products() ? "AVX-512 BF16" : "float32";
  return std::string(instruction_set()) + ", bf16 by " + half;
}

}  // namespace vit22b::cpu
#endif
