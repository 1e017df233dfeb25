#pragma once
#include <cstdint>
#include <string>

/// Small dense products on one core: the inner loop of every product of the fused engine.
///
/// Compiled once for each instruction set and chosen at run time; no threads, no allocation.
namespace vit22b::cpu {

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/// Columns of a packed panel: four vectors of 16 floats. A product's last panel is cut to a
/// multiple of kPanelStep columns.
constexpr int64_t kPanelWidth = 64;
constexpr int64_t kPanelStep = 16;
/// Rows that the inner loop takes at a time.
constexpr int64_t kTileRows = 6;

/// Columns that a panel of `columns` columns occupies.
constexpr int64_t panel_width(int64_t columns) {
  return columns >= kPanelWidth ? kPanelWidth
                                : (columns + kPanelStep - 1) / kPanelStep * kPanelStep;
}

/// Panels of a matrix B[k, n] lie one after the other, each with all of k.
constexpr int64_t panels_floats(int64_t k, int64_t n) {
  return k * (n / kPanelWidth * kPanelWidth + panel_width(n % kPanelWidth));
}
/// Where row `first_k` of the panel that starts at `column` begins.
constexpr int64_t panel_offset(int64_t k, int64_t n, int64_t column, int64_t first_k) {
  return column * k + first_k * panel_width(n - column);
}

/// What a product multiplies: float32, or bfloat16 in pairs, two steps of k in the halves of a word
/// (the first in the low half), summed in float32. Words take the place of floats everywhere.
enum class Arithmetic { kFloat32, kHalf };

/// c[m, n] = (is_accumulating ? c : 0) + a[m, k] * panel[k, n]
struct TileProduct {
  Arithmetic arithmetic = Arithmetic::kFloat32;
  const float* a = nullptr;
  /// In floats, within a group of kTileRows rows; one of the two is 1.
  int64_t a_row_stride = 0, a_k_stride = 1;
  int64_t a_group_stride = 0;    ///< from one group of rows to the next
  const float* panel = nullptr;  ///< [k, panel_width(n)], aligned to 64 bytes, zero beyond n
  /// Between the panel's rows where it is part of a float32 matrix and n a multiple of kPanelStep;
  /// 0: packed. Read so only where A's rows lie next to each other (a_row_stride is 1).
  int64_t panel_stride = 0;
  /// Of a product that follows, as large, for the caches; null for none.
  const float* next_panel = nullptr;
  float* c = nullptr;
  int64_t c_stride = 0;
  int64_t m = 0, n = 0, k = 0;  ///< n at most kPanelWidth; k in words
  bool is_accumulating = false;
};
void tile_product(const TileProduct& product);

/// Whether this CPU multiplies bfloat16 in one instruction (AVX-512 BF16) and does it as the plain
/// code does; checked once. Without, Arithmetic::kHalf is right but slow.
bool has_half_products();

/// The instruction set in use, such as "AVX3" (Highway's name for AVX-512).
const char* instruction_set();
/// That and what multiplies bfloat16: "AVX3, bf16 by AMX".
std::string kernels_in_use();

}  // namespace vit22b::cpu
