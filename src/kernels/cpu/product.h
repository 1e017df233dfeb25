#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/cpu/rows.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/tile.h"

/// Dense products over all threads, with what follows done on each tile while it is in cache.
namespace vit22b::cpu {

/// A matrix B[k, n] in the panels of tile.h, packed once for many products.
class PackedMatrix {
 public:
  /// b  [n, k] when transposed (a linear layer's weight), else [k, n]
  PackedMatrix(const Rows& b, bool is_transposed, int64_t k, int64_t n, Arithmetic arithmetic);
  Arithmetic arithmetic() const { return arithmetic_; }
  /// The panel that starts at a column, from row k of B on.
  const float* panel(int64_t column, int64_t k) const;

 private:
  Scratch memory_;
  const float* data_;
  int64_t words_, n_;
  Arithmetic arithmetic_;
};

/// Of a factor that was not packed before, a product packs this much at a time: 32 MiB.
constexpr int64_t kPackedFloats = 8 << 20;

/// One term A[m, k] B[k, n] of a sum of products.
struct Term {
  Rows a;  ///< [m, k], or [k, m] when transposed
  bool is_a_transposed = false;
  Rows b;  ///< [k, n], or [n, k] when transposed; float32, which may be rounded, or bfloat16
  bool is_b_transposed = false;
  const PackedMatrix* packed = nullptr;  ///< stands for b
  int64_t k = 0;
};

/// Receives a finished tile and the row and column of its first element; may overwrite the tile.
/// `share` numbers the blocks of rows: tiles of different shares may come at the same time and in
/// the same columns, tiles of one share never in the same columns. It depends on sizes and the
/// number of threads alone, so that sums kept by share are the same in every run.
using Epilogue = std::function<void(const Tile& tile, int64_t row, int64_t column, int64_t share)>;

/// Most shares that an epilogue sees for m rows.
int64_t max_row_shares(int64_t m);

/// The sum of the terms, tile by tile. With Arithmetic::kHalf the factors are rounded to bfloat16;
/// packed terms have to be packed for the same arithmetic.
void product(int64_t m, int64_t n, const std::vector<Term>& terms, const Epilogue& epilogue,
             Arithmetic arithmetic = Arithmetic::kFloat32);

/// c = (is_accumulating ? c : 0) + the sum of the terms; then the epilogue, where there is one, on
/// each finished tile of c, which it may overwrite.
void product_into(const Tile& c, const std::vector<Term>& terms, bool is_accumulating,
                  Arithmetic arithmetic = Arithmetic::kFloat32, const Epilogue* epilogue = nullptr);

/// The arithmetic that serves activations of a storage type best on this CPU: pairs of bfloat16
/// where there are instructions for them, else float32, which is faster and more exact.
Arithmetic best_arithmetic(Storage storage);

}  // namespace vit22b::cpu
