#include "kernels/cpu/product.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "core/error.h"
#include "kernels/cpu/operands.h"
#include "kernels/cpu/product_cut.h"
#include "kernels/cpu/tasks.h"

namespace vit22b::cpu {
namespace {

// Some of a term's K, and where its panels of the current columns begin.
struct BlockOfK {
  const Term* term;
  int64_t first, count;
  int64_t words, first_word;  // of packed panels, over all terms
};

struct Range {
  int64_t first, count;
};

// Where finished tiles go: into a matrix, to an epilogue, or both.
struct Target {
  const Tile* c = nullptr;
  bool is_accumulating = false;
  const Epilogue* epilogue = nullptr;
};

// A product, some columns at a time: B is packed by all threads, then they take blocks of rows.
class Product {
 public:
  Product(int64_t m, int64_t n, const std::vector<Term>& terms, const Target& target,
          Arithmetic arithmetic)
      : m_(m),
        n_(n),
        target_(target),
        arithmetic_(arithmetic),
        cut_(cut_product(m, n, terms, arithmetic)) {
    for (const Term& term : terms) {
      for (int64_t k = 0; k < term.k; k += cut_.block_k) {
        const int64_t count = std::min(cut_.block_k, term.k - k),
                      words = words_of(count, arithmetic);
        blocks_.push_back({&term, k, count, words, total_words_});
        total_words_ += words;
      }
      VIT22B_CHECK(term.packed == nullptr || term.packed->arithmetic() == arithmetic,
                   "product: a matrix packed for another arithmetic");
      is_packing_ = !cut_.is_in_place && (is_packing_ || term.packed == nullptr);
    }
  }

  void run() {
    int64_t columns = n_;
    if (is_packing_)
      columns = std::clamp(kPackedFloats / total_words_ / kPanelWidth, int64_t{1},
                           ceil_div(n_, kPanelWidth)) *
                kPanelWidth;
    for (int64_t first = 0; first < n_; first += columns)
      run_columns({first, std::min(columns, n_ - first)});
  }

 private:
  void run_columns(Range columns) {
    if (is_packing_) pack(columns);
    const int64_t groups = ceil_div(columns.count, cut_.group_columns);
    const int64_t row_blocks = ceil_div(m_, cut_.block_rows);
    // Neighbouring tasks share a group's panels.
    for_each_task(groups * row_blocks, [&](int64_t task) {
      const int64_t first = task / row_blocks * cut_.group_columns,
                    row = task % row_blocks * cut_.block_rows;
      tile({row, std::min(cut_.block_rows, m_ - row)},
           {columns.first + first, std::min(cut_.group_columns, columns.count - first)}, columns);
    });
  }

  // Panels lie one after the other, each with all of K.
  void pack(Range columns) {
    const int64_t panels = ceil_div(columns.count, kPanelWidth);
    packed_ = thread_scratch().b.get(panels_floats(total_words_, columns.count));
    const auto blocks = static_cast<int64_t>(blocks_.size());
    for_each_task(panels * blocks, [&](int64_t task) {
      const BlockOfK& block = blocks_[static_cast<size_t>(task % blocks)];
      const Term& term = *block.term;
      if (term.packed != nullptr) return;
      const int64_t column = task / blocks * kPanelWidth;
      const int64_t n = std::min(kPanelWidth, columns.count - column);
      pack_panel(panel_source(term.b, term.is_b_transposed, block.first, block.count,
                              columns.first + column, n),
                 arithmetic_, thread_scratch().a, packed_panel(block, column, columns.count));
    });
  }

  // The column counts from the first of the `columns` that are packed.
  float* packed_panel(const BlockOfK& block, int64_t column, int64_t columns) const {
    return packed_ + panel_offset(total_words_, columns, column, block.first_word);
  }

  BlockOfA factor_a(const BlockOfK& block, Range rows) const {
    const Rows& a = block.term->a;
    ThreadScratch& scratch = thread_scratch();
    if (!block.term->is_a_transposed)
      return rows_of_a(a.at(rows.first, block.first), rows.count, block.count, arithmetic_,
                       scratch.a);
    const Rows columns = a.at(block.first, rows.first);
    if (cut_.is_in_place) return {static_cast<const float*>(columns.data), 1, a.stride, kTileRows};
    return columns_of_a(columns, rows.count, block.count, arithmetic_, scratch);
  }

  // A block of rows and a group of columns, over all of K.
  void tile(Range rows, Range columns, Range packed_columns) const {
    ThreadScratch& scratch = thread_scratch();
    Tile c{nullptr, columns.count, rows.count, columns.count};
    if (target_.c != nullptr) {
      c.stride = target_.c->stride;
      c.data = target_.c->data + rows.first * c.stride + columns.first;
    } else {
      c.data = scratch.c.get(kBlockRows * kWideGroupColumns);
    }
    bool is_adding = target_.is_accumulating;
    for (const BlockOfK& block : blocks_) {
      const BlockOfA a = factor_a(block, rows);
      for (int64_t j = 0; j < columns.count; j += kPanelWidth) {
        const int64_t n = std::min(kPanelWidth, columns.count - j), column = columns.first + j;
        const auto panel = [&](int64_t at_column) {
          if (cut_.is_in_place)
            return static_cast<const float*>(block.term->b.at(block.first, at_column).data);
          return block.term->packed != nullptr
                     ? block.term->packed->panel(at_column, block.first)
                     : packed_panel(block, at_column - packed_columns.first, packed_columns.count);
        };
        tile_product({.arithmetic = arithmetic_,
                      .a = a.data,
                      .a_row_stride = a.row_stride,
                      .a_k_stride = a.k_stride,
                      .a_group_stride = a.group_stride,
                      .panel = panel(column),
                      .panel_stride = cut_.is_in_place ? block.term->b.stride : 0,
                      .next_panel = j + n < columns.count ? panel(column + n) : nullptr,
                      .c = c.data + j,
                      .c_stride = c.stride,
                      .m = rows.count,
                      .n = n,
                      .k = block.words,
                      .is_accumulating = is_adding});
      }
      is_adding = true;
    }
    if (target_.epilogue != nullptr)
      (*target_.epilogue)(c, rows.first, columns.first, rows.first / cut_.block_rows);
  }

  const int64_t m_, n_;
  const Target target_;
  const Arithmetic arithmetic_;
  const ProductCut cut_;
  std::vector<BlockOfK> blocks_;
  int64_t total_words_ = 0;
  bool is_packing_ = false;
  float* packed_ = nullptr;
};

}  // namespace

PackedMatrix::PackedMatrix(const Rows& b, bool is_transposed, int64_t k, int64_t n,
                           Arithmetic arithmetic)
    : words_(words_of(k, arithmetic)), n_(n), arithmetic_(arithmetic) {
  float* data = memory_.get(panels_floats(words_, n));
  data_ = data;
  for_each_task(ceil_div(n, kPanelWidth), [&](int64_t p) {
    const int64_t column = p * kPanelWidth;
    pack_panel(panel_source(b, is_transposed, 0, k, column, std::min(kPanelWidth, n - column)),
               arithmetic, thread_scratch().a, data + column * words_);
  });
}

const float* PackedMatrix::panel(int64_t column, int64_t k) const {
  // Blocks of K begin at even k, so that a word never straddles two of them.
  return data_ + panel_offset(words_, n_, column, words_of(k, arithmetic_));
}

Arithmetic best_arithmetic(Storage storage) {
  return storage == Storage::kBFloat16 && has_half_products() ? Arithmetic::kHalf
                                                              : Arithmetic::kFloat32;
}

int64_t max_row_shares(int64_t m) {
  return ceil_div(m, kLeastBlockRows);
}

void product(int64_t m, int64_t n, const std::vector<Term>& terms, const Epilogue& epilogue,
             Arithmetic arithmetic) {
  if (m > 0 && n > 0) Product(m, n, terms, {.epilogue = &epilogue}, arithmetic).run();
}

void product_into(const Tile& c, const std::vector<Term>& terms, bool is_accumulating,
                  Arithmetic arithmetic, const Epilogue* epilogue) {
  if (c.rows > 0 && c.columns > 0)
    Product(c.rows, c.columns, terms, {&c, is_accumulating, epilogue}, arithmetic).run();
}

}  // namespace vit22b::cpu
