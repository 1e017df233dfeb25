#include "kernels/cpu/product.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/tile.h"

namespace vit22b::cpu {
namespace {

// A block of rows of A (96 x 512 floats) and its tile of C stay in the second cache; the panels of a
// group of columns stream past them, over some of K at a time, from the third.
constexpr int64_t kBlockK = 512;
constexpr int64_t kBlockRows = 16 * kTileRows;
struct GroupSize {
  int64_t columns, k;
};
constexpr GroupSize kGroup{6 * kPanelWidth, 4096};
constexpr GroupSize kWideGroup{2 * kGroup.columns, kGroup.k / 2};  // where A is packed for each group

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How a product is cut into one rectangle a thread.
struct Cut {
  int64_t rows, columns;  // of a rectangle; multiples of the tile
  int64_t across;         // rectangles side by side
  int64_t down;
};

// The cut whose largest rectangle is smallest. Among equals the first tried: whole columns a thread
// where B has to be packed, so that no two threads pack the same; whole rows where A has.
Cut choose_cut(int64_t m, int64_t n, int64_t threads, bool is_by_rows) {
  Cut best{};
  double best_size = 0;
  const int64_t most = std::min(threads, ceil_div(n, kPanelWidth));
  for (int64_t i = 1; i <= most; ++i) {
    const int64_t across = is_by_rows ? i : most + 1 - i;
    const int64_t columns = ceil_div(ceil_div(n, across), kPanelWidth) * kPanelWidth;
    const int64_t down = std::max<int64_t>(1, std::min(threads / across, ceil_div(m, kTileRows)));
    const int64_t rows = ceil_div(ceil_div(m, down), kTileRows) * kTileRows;
    const double size =
        static_cast<double>(std::min(columns, n)) * static_cast<double>(std::min(rows, m));
    if (best.across == 0 || size < best_size * 0.99) {
      best = {rows, columns, ceil_div(n, columns), ceil_div(m, rows)};
      best_size = size;
    }
  }
  return best;
}

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

// Some of a term's K, and its panels.
struct BlockOfK {
  const Term* term;
  int64_t first, count;
  const float* panels[kWideGroup.columns / kPanelWidth];
};

// One thread's rectangle of a product.
class Rectangle {
 public:
  Rectangle(const std::vector<Term>& terms, const Tile* c, bool is_accumulating,
            const Epilogue* epilogue, int64_t first_row, int64_t rows, int64_t share)
      : c_(c),
        is_accumulating_(is_accumulating),
        epilogue_(epilogue),
        first_row_(first_row),
        rows_(rows),
        share_(share),
        group_(terms.front().is_a_transposed ? kWideGroup : kGroup),
        scratch_(thread_scratch()) {
    for (const Term& term : terms)
      for (int64_t k = 0; k < term.k; k += kBlockK)
        blocks_.push_back({&term, k, std::min(kBlockK, term.k - k), {}});
  }

  void run(int64_t first_column, int64_t columns) {
    for (int64_t j = 0; j < columns; j += group_.columns)
      group({first_column + j, std::min(group_.columns, columns - j)});
  }

 private:
  struct Range {
    int64_t first, count;
  };
  size_t blocks_at_once() const { return static_cast<size_t>(group_.k / kBlockK); }

  // A group of columns: packs some of K, and takes all rows through it.
  void group(Range columns) {
    for (size_t first = 0; first < blocks_.size(); first += blocks_at_once()) {
      const size_t last = std::min(blocks_.size(), first + blocks_at_once());
      int64_t packed_floats = 0;
      for (size_t i = first; i < last; ++i)
        packed_floats += pack(blocks_[i], columns, packed_floats);
      for (int64_t row = 0; row < rows_; row += kBlockRows) {
        const Range rows{row, std::min(kBlockRows, rows_ - row)};
        const Tile c = tile_of_c(rows, columns);
        for (size_t i = first; i < last; ++i) multiply(blocks_[i], rows, columns, c, i > 0);
        if (epilogue_ != nullptr && last == blocks_.size())
          (*epilogue_)(c, first_row_ + rows.first, columns.first, share_);
      }
    }
  }

  // Finds or makes a block's panels, in scratch from `offset` on; returns the floats they take.
  int64_t pack(BlockOfK& block, Range columns, int64_t offset) {
    const Term& term = *block.term;
    int64_t floats = 0;
    for (int64_t j = 0; j < columns.count; j += kPanelWidth) {
      const float*& panel = block.panels[j / kPanelWidth];
      if (term.packed != nullptr) {
        panel = term.packed->panel(columns.first + j, block.first);
        continue;
      }
      float* packed = scratch_.b.get(kGroup.k * kGroup.columns) + offset + floats;
      const int64_t n = std::min(kPanelWidth, columns.count - j);
      pack_panel(term.b, term.is_b_transposed, block.first, block.count, columns.first + j, n,
                 scratch_.a, packed);
      panel = packed;
      floats += block.count * panel_width(n);
    }
    return floats;
  }

  void multiply(const BlockOfK& block, Range rows, Range columns, const Tile& c, bool is_later) {
    const BlockOfA a = block_of_a(*block.term, first_row_ + rows.first, rows.count, block.first,
                                  block.count, scratch_.a);
    for (int64_t j = 0; j < columns.count; j += kPanelWidth)
      tile_product({.a = a.data,
                    .a_row_stride = a.row_stride,
                    .a_k_stride = a.k_stride,
                    .a_group_stride = a.group_stride,
                    .panel = block.panels[j / kPanelWidth],
                    .c = c.data + j,
                    .c_stride = c.stride,
                    .m = rows.count,
                    .n = std::min(kPanelWidth, columns.count - j),
                    .k = block.count,
                    .is_accumulating = is_later || is_accumulating_});
  }

  // Where the sum of a block of rows is kept: in the result, or in scratch, for all rows where it
  // has to wait for more of K.
  Tile tile_of_c(Range rows, Range columns) {
    if (c_ != nullptr)
      return {c_->data + (first_row_ + rows.first) * c_->stride + columns.first, c_->stride,
              rows.count, columns.count};
    const bool is_kept = blocks_.size() > blocks_at_once();
    float* data = scratch_.c.get((is_kept ? rows_ : kBlockRows) * group_.columns);
    return {data + (is_kept ? rows.first * group_.columns : 0), group_.columns, rows.count,
            columns.count};
  }

  const Tile* c_;
  const bool is_accumulating_;
  const Epilogue* epilogue_;
  const int64_t first_row_, rows_, share_;
  const GroupSize group_;
  ThreadScratch& scratch_;
  std::vector<BlockOfK> blocks_;
};

void run(int64_t m, int64_t n, const std::vector<Term>& terms, const Tile* c, bool is_accumulating,
         const Epilogue* epilogue) {
  if (m == 0 || n == 0) return;
  const Term& first_term = terms.front();
  const Cut cut = choose_cut(m, n, at::get_num_threads(),
                             first_term.is_a_transposed || first_term.packed != nullptr);
  at::parallel_for(0, cut.across * cut.down, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t row = i / cut.across * cut.rows, column = i % cut.across * cut.columns;
      Rectangle rectangle(terms, c, is_accumulating, epilogue, row, std::min(cut.rows, m - row),
                          i / cut.across);
      rectangle.run(column, std::min(cut.columns, n - column));
    }
  });
}

}  // namespace

PackedMatrix::PackedMatrix(const Rows& b, bool is_transposed, int64_t k, int64_t n) : k_(k), n_(n) {
  const int64_t whole = n / kPanelWidth * kPanelWidth;
  float* data = memory_.get(k * (whole + panel_width(n - whole)));
  data_ = data;
  at::parallel_for(0, ceil_div(n, kPanelWidth), 1, [&](int64_t first, int64_t last) {
    Scratch converted;
    for (int64_t p = first; p < last; ++p)
      pack_panel(b, is_transposed, 0, k, p * kPanelWidth, std::min(kPanelWidth, n - p * kPanelWidth),
                 converted, data + p * kPanelWidth * k);
  });
}

const float* PackedMatrix::panel(int64_t column, int64_t k) const {
  return data_ + column * k_ + k * panel_width(n_ - column);
}

int64_t max_row_shares() { return at::get_num_threads(); }

void product(int64_t m, int64_t n, const std::vector<Term>& terms, const Epilogue& epilogue) {
  run(m, n, terms, nullptr, false, &epilogue);
}

void product_into(const Tile& c, const std::vector<Term>& terms, bool is_accumulating) {
  run(c.rows, c.columns, terms, &c, is_accumulating, nullptr);
}

}  // namespace vit22b::cpu
