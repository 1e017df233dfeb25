#pragma once
#include <cstdint>

#include "kernels/activation_kind.h"

/// Rows of activations on one core: storage types, biases, GELU, LayerScale, residuals, sums.
///
/// All arithmetic is float32. Compiled once for each instruction set and chosen at run time; no
/// threads, no allocation. Matrices are rows of floats, `stride` floats apart.
namespace vit22b::cpu {

/// How activations lie in memory; bfloat16 is rounded to nearest, ties to even.
enum class Storage { kFloat32, kBFloat16 };

/// Bytes of one element.
constexpr int64_t storage_bytes(Storage storage) {
  return storage == Storage::kFloat32 ? 4 : 2;
}

/// A matrix in a storage type; `data` may be null where an output is optional.
struct Rows {
  void* data = nullptr;
  int64_t stride = 0;  ///< elements from one row to the next
  Storage storage = Storage::kFloat32;
  bool is_rounded = false;  ///< a product takes these float32 values as bfloat16 has them

  Rows at(int64_t row, int64_t column) const {
    return {static_cast<char*>(data) + (row * stride + column) * storage_bytes(storage), stride,
            storage, is_rounded};
  }
};

/// A float32 matrix that an operation reads and overwrites.
struct Tile {
  float* data = nullptr;
  int64_t stride = 0, rows = 0, columns = 0;
};

/// Copies a matrix to float32, and back with rounding.
void load_rows(const Rows& from, const Tile& to);
void store_rows(const Tile& from, const Rows& to);
/// to = factor * from
void scale_copy(const Rows& from, int64_t rows, int64_t columns, float factor, const Rows& to);

/// Turns each row's pairs of columns, (2i, 2i + 1) or (i, i + half of the columns), by the angles
/// of its row of cos and sin [rows, columns], whose partners are alike; `direction` -1 turns back.
void rotate_rows(const Tile& tile, const float* cos, const float* sin, bool is_half,
                 float direction);

/// tile += bias; pre_activation = tile (where wanted); activation = form(tile). `bias` may be null.
void bias_activation(const Tile& tile, const float* bias, Activation form,
                     const Rows& pre_activation, const Rows& activation);
/// out = tile * form'(pre_activation), and activation = form(pre_activation), which may
/// be the same memory. Adds the column sums of `out` to `column_sums` where it is not null.
void activation_backward(const Tile& tile, const Rows& pre_activation, Activation form,
                         const Rows& activation, const Rows& out, float* column_sums);
/// A gated MLP's hidden units, form(gates) * (tile + bias), and tile + bias in `pre` (where
/// wanted), all in one storage type; `hidden` may lie over the gates. `bias` may be null.
void gated_activation(const Tile& tile, const float* bias, const Rows& gates, Activation form,
                      const Rows& pre, const Rows& hidden);
/// What the backward pass makes of such units: their gradient, a tile, becomes that of `pre` and of
/// the gates, and the units are made again over `pre`. Adds both gradients' column sums where not
/// null.
struct GatedGradients {
  Rows pre, gates;
  float *pre_sums = nullptr, *gate_sums = nullptr;
};
void gated_backward(const Tile& tile, const Rows& pre, const Rows& gates, Activation form,
                    const GatedGradients& to);

/// out = residual + scale * (tile + bias); `bias` and `scale` may be null, and so may `branch`,
/// which receives tile + bias in a type of its own; residual and out have the same.
void bias_scale_residual(const Tile& tile, const float* bias, const float* scale,
                         const Rows& residual, const Rows& branch, const Rows& out);
/// tile += bias where bias is not null; out = tile.
void bias_store(const Tile& tile, const float* bias, const Rows& out);
/// sums[column] += sum over rows.
void add_column_sums(const Rows& from, int64_t rows, int64_t columns, float* sums);
/// tile *= scale[column]; adds the column sums of tile * other (before scaling) to `sums`.
void scale_backward(const Tile& tile, const float* scale, const Rows& other, float* sums);

}  // namespace vit22b::cpu
