#include "kernels/cpu/amx.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <bit>
#include <utility>

#include "core/instructions.h"

namespace vit22b::cpu {

#if defined(__x86_64__)
namespace {

// A register holds 16 rows of 16 words. Four of the eight sum a block of 32 rows and 32 columns,
// two hold rows of A and two hold columns of B: four products for four loads.
constexpr int64_t kSide = 16;
constexpr int64_t kBlockSide = 2 * kSide;

// The eight registers' sizes, as the CPU reads them.
struct alignas(64) Registers {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void set(int index, int64_t num_rows, int64_t words) {
    rows[index] = static_cast<uint8_t>(num_rows);
    row_bytes[index] = static_cast<uint16_t>(4 * words);
  }
};

// Sizes of a block's halves; the second one of rows or columns is 0 where there is one alone.
struct BlockSize {
  int64_t rows[2], columns[2], words;
};

void configure(const BlockSize& size) {
  Registers registers;
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j)
      if (size.rows[i] > 0 && size.columns[j] > 0)
        registers.set(2 * i + j, size.rows[i], size.columns[j]);
    if (size.rows[i] > 0) registers.set(4 + i, size.rows[i], size.words);
    if (size.columns[i] > 0) registers.set(6 + i, size.words, size.columns[i]);
  }
  // g++ 12's intrinsic names only the first bytes as read.
  asm volatile("ldtilecfg %0" : : "m"(registers));
}

// Where a block's factors and sums begin; strides in bytes.
struct Block {
  const float *a, *b;
  float* c;
  int64_t a_stride, b_stride, c_stride;
  int64_t steps;  // of k, each as many words as a register's row
  bool is_accumulating;
  // Of the next panel: lines that each step asks for, into the second cache.
  const float* next;
  int64_t next_lines;
};

// Registers: 0 to 3 sums, 4 and 5 rows of A, 6 and 7 columns of B. Not inlined: the loads name no
// memory, and the call keeps them between what comes before and after.
template <int kM, int kN>
[[gnu::noinline, gnu::target("amx-tile,amx-bf16")]] void product_of_block(const Block& p) {
  float* c = p.c;
  float* c_below = c + kSide * p.c_stride / 4;
  if (p.is_accumulating) {
    _tile_loadd(0, c, p.c_stride);
    if constexpr (kN == 2) _tile_loadd(1, c + kSide, p.c_stride);
    if constexpr (kM == 2) _tile_loadd(2, c_below, p.c_stride);
    if constexpr (kM == 2 && kN == 2) _tile_loadd(3, c_below + kSide, p.c_stride);
  } else {
    _tile_zero(0);
    if constexpr (kN == 2) _tile_zero(1);
    if constexpr (kM == 2) _tile_zero(2);
    if constexpr (kM == 2 && kN == 2) _tile_zero(3);
  }
  const float *a = p.a, *a_below = a + kSide * p.a_stride / 4, *b = p.b, *next = p.next;
  for (int64_t step = 0; step < p.steps; ++step) {
    _tile_loadd(6, b, p.b_stride);
    _tile_loadd(4, a, p.a_stride);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kM == 2) {
      _tile_loadd(5, a_below, p.a_stride);
      _tile_dpbf16ps(2, 5, 6);
    }
    if constexpr (kN == 2) {
      _tile_loadd(7, b + kSide, p.b_stride);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (kM == 2) _tile_dpbf16ps(3, 5, 7);
    }
    for (int64_t line = 0; line < p.next_lines; ++line, next += kSide)
      _mm_prefetch(next, _MM_HINT_T1);
    a += kSide;
    a_below += kSide;
    b += kSide * p.b_stride / 4;
  }
  _tile_stored(0, c, p.c_stride);
  if constexpr (kN == 2) _tile_stored(1, c + kSide, p.c_stride);
  if constexpr (kM == 2) _tile_stored(2, c_below, p.c_stride);
  if constexpr (kM == 2 && kN == 2) _tile_stored(3, c_below + kSide, p.c_stride);
}

// Some of a product's rows, columns and words.
struct Part {
  int64_t row, rows, column, columns, word, words;
};

// Rows and columns of a part are all cut into blocks of the same size, and words into steps.
void product_of_part(const TileProduct& p, const Part& part) {
  if (part.rows == 0 || part.columns == 0 || part.words == 0) return;
  const int64_t rows = std::min(part.rows, kBlockSide),
                columns = std::min(part.columns, kBlockSide), words = std::min(part.words, kSide);
  const auto halves = [](int64_t n, int64_t i) {
    return i == 0 ? std::min(n, kSide) : std::max<int64_t>(n - kSide, 0);
  };
  configure({{halves(rows, 0), halves(rows, 1)}, {halves(columns, 0), halves(columns, 1)}, words});
  const bool is_low = rows > kSide, is_wide = columns > kSide;
  const auto run = is_low ? (is_wide ? product_of_block<2, 2> : product_of_block<2, 1>)
                          : (is_wide ? product_of_block<1, 2> : product_of_block<1, 1>);
  const int64_t width = panel_width(p.n), steps = part.words / words;
  // The next panel's lines, cut evenly among this one's blocks and their steps.
  const int64_t blocks = ceil_div(p.m, kBlockSide) * ceil_div(p.n, kBlockSide);
  const int64_t next_lines = p.next_panel == nullptr ? 0 : ceil_div(width, blocks);
  const float* next = p.next_panel;
  // The columns' panel stays in the first cache while rows stream past it.
  for (int64_t j = part.column; j < part.column + part.columns; j += columns)
    for (int64_t i = part.row; i < part.row + part.rows; i += rows) {
      run({p.a + i * p.a_row_stride + part.word, p.panel + part.word * width + j,
           p.c + i * p.c_stride + j, 4 * p.a_row_stride, 4 * width, 4 * p.c_stride, steps,
           p.is_accumulating || part.word > 0, next, next_lines});
      if (next != nullptr) next += steps * next_lines * kSide;
    }
}

[[gnu::target("amx-tile")]] void release() {
  _tile_release();
}

// Linux grants the unit's registers on request (arch_prctl(2), ARCH_REQ_XCOMP_PERM).
bool is_granted() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// CPUID leaf 7: bits 22 and 24 of EDX.
bool is_present() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx >> 22 & 1U) != 0 && (edx >> 24 & 1U) != 0;
}

// Small whole numbers, whose products are exact: a block, its tails, and what is added to.
bool is_right() {
  constexpr int64_t kM = 35, kN = 56, kK = 21;
  alignas(64) float panel[kK * kPanelWidth] = {};
  float a[kM * kK], c[kM * kN];
  const auto value = [](int64_t i) { return static_cast<float>(i % 9 - 4); };
  const auto word = [](float low, float high) {  // bfloat16 is float32's upper half
    return std::bit_cast<float>(std::bit_cast<uint32_t>(low) >> 16 |
                                (std::bit_cast<uint32_t>(high) & 0xffff0000U));
  };
  for (int64_t i = 0; i < kM * kK; ++i) a[i] = word(value(i), value(5 * i + 1));
  for (int64_t i = 0; i < kK * kN; ++i)
    panel[i / kN * kPanelWidth + i % kN] = word(value(7 * i + 2), value(i + 3));
  std::fill_n(c, kM * kN, 1.0F);
  matrix_unit_product({.arithmetic = Arithmetic::kHalf,
                       .a = a,
                       .a_row_stride = kK,
                       .panel = panel,
                       .c = c,
                       .c_stride = kN,
                       .m = kM,
                       .n = kN,
                       .k = kK,
                       .is_accumulating = true});
  for (int64_t i = 0; i < kM; ++i)
    for (int64_t j = 0; j < kN; ++j) {
      float sum = 1;
      for (int64_t k = 0; k < kK; ++k)
        sum += value(i * kK + k) * value(7 * (k * kN + j) + 2) +
               value(5 * (i * kK + k) + 1) * value(k * kN + j + 3);
      if (c[i * kN + j] != sum) return false;
    }
  return true;
}

}  // namespace

void matrix_unit_product(const TileProduct& p) {
  const int64_t whole_rows = p.m / kBlockSide * kBlockSide,
                whole_columns = p.n / kBlockSide * kBlockSide, whole_words = p.k / kSide * kSide;
  for (const auto& [word, words] :
       {std::pair{int64_t{0}, whole_words}, {whole_words, p.k - whole_words}})
    for (const auto& [row, rows] :
         {std::pair{int64_t{0}, whole_rows}, {whole_rows, p.m - whole_rows}}) {
      product_of_part(p, {row, rows, 0, whole_columns, word, words});
      product_of_part(p, {row, rows, whole_columns, p.n - whole_columns, word, words});
    }
  release();
}

bool has_matrix_unit() {
  static const bool kHas =
      may_use(Instructions::kAmx) && is_present() && is_granted() && is_right();
  return kHas;
}
#else
void matrix_unit_product(const TileProduct&) {}
bool has_matrix_unit() {
  return false;
}
#endif

}  // namespace vit22b::cpu
