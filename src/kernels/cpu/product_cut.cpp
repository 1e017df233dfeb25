#include "kernels/cpu/product_cut.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "kernels/cpu/amx.h"

namespace vit22b::cpu {
namespace {

// A block of rows of A (192 x 512 floats) and its tile of C stay in the second cache; packed panels
// stream past them from the third.
constexpr int64_t kBlockK = 512;
constexpr int64_t kGroupColumns = 6 * kPanelWidth;
constexpr int64_t kTasksPerThread = 8;
constexpr int64_t kWideTasksPerThread = 4;  // a group of several panels can ask for the next one
// So few rows (an image's) are one block where there are columns for all threads: each then reads
// its own part of B, where B is most of the memory that moves.
constexpr int64_t kFewRows = 256;
// The matrix unit takes 32 rows at a time: other blocks than multiples would leave it idle.
constexpr int64_t kBlockRowsStep = 32;

// A weight gradient of narrow matrices reads both where they lie: few rows of them fill few pages,
// and copies would take a third of the product's time. So much of K stays in the first cache, and
// so many columns of A are whole lines and whole groups.
constexpr int64_t kNarrow = 512;
constexpr int64_t kInPlaceBlockK = 128;
constexpr int64_t kInPlaceRows = 48;
constexpr int64_t kInPlaceTasksPerThread = 2;

bool is_narrow(const Rows& matrix) {
  return matrix.storage == Storage::kFloat32 && matrix.stride <= kNarrow;
}

// Whether the inner loop can read a panel of B in place: whole, aligned vectors.
bool is_read_in_place(const Term& term, int64_t n) {
  constexpr int64_t kAlignment = kPanelStep * sizeof(float);
  return term.is_a_transposed && !term.is_b_transposed && term.packed == nullptr &&
         is_narrow(term.a) && is_narrow(term.b) && n % kPanelStep == 0 &&
         term.b.stride % kPanelStep == 0 &&
         reinterpret_cast<uintptr_t>(term.b.data) % kAlignment == 0;
}

int64_t threads() {
  return at::get_num_threads();
}

ProductCut in_place(int64_t m, int64_t n) {
  const int64_t panels = ceil_div(n, kPanelWidth) * ceil_div(m, kInPlaceRows);
  return {.block_k = kInPlaceBlockK,
          .block_rows = kInPlaceRows,
          .group_columns = ceil_div(panels, kInPlaceTasksPerThread * threads()) * kPanelWidth,
          .is_in_place = true};
}

// Whole steps of rows, such that there are so many tasks with groups of that width.
int64_t rows_of_a_task(int64_t m, int64_t n, int64_t group_columns, int64_t tasks,
                       Arithmetic arithmetic) {
  const int64_t step =
      has_matrix_unit() && arithmetic == Arithmetic::kHalf ? kBlockRowsStep : kTileRows;
  const int64_t blocks = ceil_div(tasks, ceil_div(n, group_columns));
  return ceil_div(ceil_div(m, blocks), step) * step;
}

}  // namespace

ProductCut cut_product(int64_t m, int64_t n, const std::vector<Term>& terms,
                       Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::kFloat32 &&
      std::all_of(terms.begin(), terms.end(),
                  [&](const Term& term) { return is_read_in_place(term, n); }))
    return in_place(m, n);
  const bool is_a_packed =
      std::any_of(terms.begin(), terms.end(), [](const Term& t) { return t.is_a_transposed; });
  ProductCut cut{.block_k = arithmetic == Arithmetic::kHalf ? 2 * kBlockK : kBlockK,
                 .group_columns = is_a_packed ? kWideGroupColumns : kGroupColumns};
  const bool has_few_rows = m <= kFewRows && !is_a_packed;
  if (has_few_rows) {
    const int64_t panels = ceil_div(ceil_div(n, kPanelWidth), kWideTasksPerThread * threads());
    cut.group_columns = std::min(panels * kPanelWidth, kGroupColumns);
  }
  const int64_t tasks = has_few_rows ? threads() : kTasksPerThread * threads();
  cut.block_rows = std::clamp(rows_of_a_task(m, n, cut.group_columns, tasks, arithmetic),
                              kLeastBlockRows, has_few_rows ? kFewRows : kBlockRows);
  return cut;
}

}  // namespace vit22b::cpu
