#pragma once
#include <cstdint>

/// Row-wise mathematics on one core: norms, activations, softmax and their derivatives.
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

  Rows at(int64_t row, int64_t column) const {
    return {static_cast<char*>(data) + (row * stride + column) * storage_bytes(storage), stride,
            storage};
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

/// The GELU: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) or x/2 (1 + erf(x / sqrt 2)).
enum class Gelu { kTanh, kErf };

/// tile += bias; pre_activation = tile (where wanted); activation = gelu(tile). `bias` may be null.
void bias_gelu(const Tile& tile, const float* bias, Gelu form, const Rows& pre_activation,
               const Rows& activation);
/// out (float32) = tile * gelu'(pre_activation), and activation = gelu(pre_activation), which may
/// be the same memory. Adds the column sums of `out` to `column_sums` where it is not null.
void gelu_backward(const Tile& tile, const Rows& pre_activation, Gelu form, const Rows& activation,
                   const Tile& out, float* column_sums);
/// out = residual + scale * (tile + bias); `bias` and `scale` may be null, and so may `branch`,
/// which receives tile + bias.
void bias_scale_residual(const Tile& tile, const float* bias, const float* scale,
                         const Rows& residual, const Rows& branch, const Rows& out);
/// tile += bias where bias is not null; out = tile.
void bias_store(const Tile& tile, const float* bias, const Rows& out);
/// sums[column] += sum over rows.
void add_column_sums(const Tile& tile, float* sums);
/// tile *= scale[column]; adds the column sums of tile * other (before scaling) to `sums`.
void scale_backward(const Tile& tile, const float* scale, const Rows& other, float* sums);

/// A norm over each row: RMSNorm, or LayerNorm with centring; `bias` may be null.
struct NormWeights {
  const float* weight = nullptr;
  const float* bias = nullptr;
  float eps = 1e-6F;
  bool is_centred = false;
};
/// out = factor * norm(x), row by row. In place when `out` is `x`.
void norm_forward(const Rows& x, int64_t rows, int64_t columns, const NormWeights& norm,
                  float factor, const Tile& out);
/// gradient (of factor * norm(x)) becomes the gradient of x; the weight's and bias's gradients are
/// added to `weight_sums` and `bias_sums` where not null.
void norm_backward(const Rows& x, const Tile& gradient, const NormWeights& norm, float factor,
                   float* weight_sums, float* bias_sums);

/// One step of a softmax over blocks of keys: scores become exp(score - new maximum); `maxima` and
/// `sums` are brought up to date, and `corrections` receives exp(old maximum - new maximum).
void online_softmax(const Tile& scores, float* maxima, float* sums, float* corrections);
/// Scores become softmax weights by their saved log-sum-exp.
void softmax_by_lse(const Tile& scores, const float* lse);
/// weights = weights * (weight_gradients - delta[row]): softmax's derivative.
void softmax_backward(const Tile& weights, const Tile& weight_gradients, const float* delta);
/// tile[row] *= factors[row]
void scale_rows(const Tile& tile, const float* factors);
/// result[row] = a[row] . b[row]
void row_dots(const Tile& a, const Rows& b, float* result);

}  // namespace vit22b::cpu
