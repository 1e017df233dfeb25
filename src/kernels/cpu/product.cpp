#include "kernels/cpu/product.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/tasks.h"
#include "kernels/cpu/tile.h"

namespace vit22b::cpu {
namespace {

// A block of rows of A (96 x 512 floats) and its tile of C stay in the second cache; packed panels
// stream past them from the third.
constexpr int64_t kBlockK = 512;
constexpr int64_t kBlockRows = 16 * kTileRows;
constexpr int64_t kGroupColumns = 6 * kPanelWidth;
constexpr int64_t kWideGroupColumns = 4 * kGroupColumns;  // where A is packed for each group
constexpr int64_t kPackedFloats = 8 << 20;                // of B at a time: 32 MiB
constexpr int64_t kTasksPerThread = 4;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Packs B[k0 .., column ..] as a panel; bfloat16 goes through `converted`.
void pack_panel(const Rows& b, bool is_transposed, int64_t k0, int64_t k, int64_t column, int64_t n,
                Scratch& converted, float* panel) {
  Rows source = is_transposed ? b.at(column, k0) : b.at(k0, column);
  if (source.storage != Storage::kFloat32) {
    const int64_t rows = is_transposed ? n : k, columns = is_transposed ? k : n;
    const Tile copy{converted.get(rows * columns), columns, rows, columns};
    load_rows(source, copy);
    source = {copy.data, copy.stride, Storage::kFloat32};
  }
  const auto* data = static_cast<const float*>(source.data);
  is_transposed ? pack_transposed(data, source.stride, k, n, panel)
                : pack_rows(data, source.stride, k, n, panel);
}

// A block of A as tile_product wants it: where it lies, or a copy.
struct BlockOfA {
  const float* data;
  int64_t row_stride, k_stride, group_stride;
};

BlockOfA block_of_a(const Term& term, int64_t row, int64_t rows, int64_t k0, int64_t k,
                    Scratch& scratch) {
  if (!term.is_a_transposed) {
    const Rows a = term.a.at(row, k0);
    if (a.storage == Storage::kFloat32)
      return {static_cast<const float*>(a.data), a.stride, 1, kTileRows * a.stride};
    const Tile copy{scratch.get(kBlockRows * kBlockK), k, rows, k};
    load_rows(a, copy);
    return {copy.data, k, 1, kTileRows * k};
  }
  // Rows of the transpose, cut into groups of kTileRows: [group][k][kTileRows]. A line between the
  // groups keeps them out of each other's sets of the first cache.
  const int64_t group_stride = k * kTileRows + kPanelStep;
  Rows a = term.a.at(k0, row);
  float* packed = scratch.get(3 * kBlockRows * kBlockK);
  if (a.storage != Storage::kFloat32) {
    const Tile copy{packed + 2 * kBlockRows * kBlockK, rows, k, rows};
    load_rows(a, copy);
    a = {copy.data, copy.stride, Storage::kFloat32};
  }
  const auto* source = static_cast<const float*>(a.data);
  // Row by row of the source: a row is one page, a group's column is as many pages as rows.
  // Copies of 8 floats where they fit: the 2 too many are overwritten by the next row's.
  constexpr int64_t kCopied = 8;
  const int64_t wide = rows < kCopied ? 0 : (rows - kCopied) / kTileRows * kTileRows + kTileRows;
  constexpr int64_t kAhead = 16;  // rows; the hardware does not see the next row coming
  for (int64_t i = 0; i < k; ++i, source += a.stride) {
    float* out = packed + i * kTileRows;
    if (i + kAhead < k)
      for (int64_t j = 0; j < rows; j += kPanelStep)
        __builtin_prefetch(source + kAhead * a.stride + j);
    int64_t first = 0;
    for (; first < wide; first += kTileRows, out += group_stride)
      std::memcpy(out, source + first, kCopied * sizeof(float));  // a constant size: inlined
    for (; first < rows; first += kTileRows, out += group_stride)
      std::copy(source + first, source + std::min(rows, first + kTileRows), out);
  }
  return {packed, 1, kTileRows, group_stride};
}

// Some of a term's K, and where its panels of the current columns begin.
struct BlockOfK {
  const Term* term;
  int64_t first, count;
  int64_t row;  // rows of K before it, over all terms
};

struct Range {
  int64_t first, count;
};

// A product, some columns at a time: B is packed by all threads, then they take blocks of rows.
class Product {
 public:
  Product(int64_t m, int64_t n, const std::vector<Term>& terms, const Tile* c, bool is_accumulating,
          const Epilogue* epilogue)
      : m_(m), n_(n), c_(c), is_accumulating_(is_accumulating), epilogue_(epilogue) {
    for (const Term& term : terms) {
      for (int64_t k = 0; k < term.k; k += kBlockK)
        blocks_.push_back({&term, k, std::min(kBlockK, term.k - k), total_k_ + k});
      total_k_ += term.k;
      is_packing_ = is_packing_ || term.packed == nullptr;
      is_a_packed_ = is_a_packed_ || term.is_a_transposed;
    }
    // Few rows: smaller blocks, so that every thread has some.
    const int64_t groups = ceil_div(n, group_columns());
    const int64_t wanted = ceil_div(kTasksPerThread * at::get_num_threads(), groups);
    const int64_t rows = ceil_div(ceil_div(m, wanted), kTileRows) * kTileRows;
    block_rows_ = std::clamp(rows, 4 * kTileRows, kBlockRows);
  }

  void run() {
    int64_t columns = n_;
    if (is_packing_)
      columns = std::clamp(kPackedFloats / total_k_ / kPanelWidth, int64_t{1},
                           ceil_div(n_, kPanelWidth)) *
                kPanelWidth;
    for (int64_t first = 0; first < n_; first += columns)
      run_columns({first, std::min(columns, n_ - first)});
  }

 private:
  int64_t group_columns() const { return is_a_packed_ ? kWideGroupColumns : kGroupColumns; }

  void run_columns(Range columns) {
    if (is_packing_) pack(columns);
    const int64_t groups = ceil_div(columns.count, group_columns());
    const int64_t row_blocks = ceil_div(m_, block_rows_);
    // Neighbouring tasks share a group's panels.
    for_each_task(groups * row_blocks, [&](int64_t task) {
      const int64_t first = task / row_blocks * group_columns(),
                    row = task % row_blocks * block_rows_;
      tile({row, std::min(block_rows_, m_ - row)},
           {columns.first + first, std::min(group_columns(), columns.count - first)}, columns);
    });
  }

  // Panels lie one after the other, each with all of K.
  void pack(Range columns) {
    const int64_t panels = ceil_div(columns.count, kPanelWidth);
    packed_ = thread_scratch().b.get(panels * kPanelWidth * total_k_);
    const auto blocks = static_cast<int64_t>(blocks_.size());
    for_each_task(panels * blocks, [&](int64_t task) {
      const BlockOfK& block = blocks_[static_cast<size_t>(task % blocks)];
      const Term& term = *block.term;
      if (term.packed != nullptr) return;
      const int64_t column = task / blocks * kPanelWidth;
      const int64_t n = std::min(kPanelWidth, columns.count - column);
      pack_panel(term.b, term.is_b_transposed, block.first, block.count, columns.first + column, n,
                 thread_scratch().a, packed_panel(block, column, n));
    });
  }

  float* packed_panel(const BlockOfK& block, int64_t column, int64_t n) const {
    return packed_ + column * total_k_ + block.row * panel_width(n);
  }

  // A block of rows and a group of columns, over all of K.
  void tile(Range rows, Range columns, Range packed_columns) const {
    ThreadScratch& scratch = thread_scratch();
    const Tile c = c_ != nullptr
                       ? Tile{c_->data + rows.first * c_->stride + columns.first, c_->stride,
                              rows.count, columns.count}
                       : Tile{scratch.c.get(kBlockRows * kWideGroupColumns), columns.count,
                              rows.count, columns.count};
    bool is_adding = is_accumulating_;
    for (const BlockOfK& block : blocks_) {
      const BlockOfA a =
          block_of_a(*block.term, rows.first, rows.count, block.first, block.count, scratch.a);
      for (int64_t j = 0; j < columns.count; j += kPanelWidth) {
        const int64_t n = std::min(kPanelWidth, columns.count - j), column = columns.first + j;
        const PackedMatrix* packed = block.term->packed;
        tile_product({.a = a.data,
                      .a_row_stride = a.row_stride,
                      .a_k_stride = a.k_stride,
                      .a_group_stride = a.group_stride,
                      .panel = packed != nullptr
                                   ? packed->panel(column, block.first)
                                   : packed_panel(block, column - packed_columns.first, n),
                      .c = c.data + j,
                      .c_stride = c.stride,
                      .m = rows.count,
                      .n = n,
                      .k = block.count,
                      .is_accumulating = is_adding});
      }
      is_adding = true;
    }
    if (epilogue_ != nullptr) (*epilogue_)(c, rows.first, columns.first, rows.first / block_rows_);
  }

  const int64_t m_, n_;
  const Tile* c_;
  const bool is_accumulating_;
  const Epilogue* epilogue_;
  std::vector<BlockOfK> blocks_;
  int64_t total_k_ = 0, block_rows_ = 0;
  bool is_packing_ = false, is_a_packed_ = false;
  float* packed_ = nullptr;
};

}  // namespace

PackedMatrix::PackedMatrix(const Rows& b, bool is_transposed, int64_t k, int64_t n) : k_(k), n_(n) {
  const int64_t whole = n / kPanelWidth * kPanelWidth;
  float* data = memory_.get(k * (whole + panel_width(n - whole)));
  data_ = data;
  for_each_task(ceil_div(n, kPanelWidth), [&](int64_t p) {
    pack_panel(b, is_transposed, 0, k, p * kPanelWidth, std::min(kPanelWidth, n - p * kPanelWidth),
               thread_scratch().a, data + p * kPanelWidth * k);
  });
}

const float* PackedMatrix::panel(int64_t column, int64_t k) const {
  return data_ + column * k_ + k * panel_width(n_ - column);
}

int64_t max_row_shares(int64_t m) { return ceil_div(m, 4 * kTileRows); }

void product(int64_t m, int64_t n, const std::vector<Term>& terms, const Epilogue& epilogue) {
  if (m > 0 && n > 0) Product(m, n, terms, nullptr, false, &epilogue).run();
}

void product_into(const Tile& c, const std::vector<Term>& terms, bool is_accumulating) {
  if (c.rows > 0 && c.columns > 0)
    Product(c.rows, c.columns, terms, &c, is_accumulating, nullptr).run();
}

}  // namespace vit22b::cpu
