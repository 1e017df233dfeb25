#pragma once
#include <cstdint>

#include "kernels/activation_kind.h"
#include "kernels/part_layout.h"

/// The CUDA kernels behind raw pointers and a stream: no libtorch on this side.
///
/// Every call enqueues and returns; nothing waits for the device. Statistics and sums are float32.
/// Values are read and written once, sums over rows go through partial sums in a fixed order, so
/// that equal input gives equal bits.
namespace vit22b::cuda {

/// A cudaStream_t.
using Stream = void*;

/// Rows of float32 or bfloat16 values, the values of a row next to each other.
struct Matrix {
  void* data = nullptr;
  int64_t stride = 0;  ///< values from one row to the next
  bool is_bf16 = false;
};

/// A norm over each row: RMSNorm, or LayerNorm with centring. `bias` may be null.
struct Norm {
  const float* weight = nullptr;
  const float* bias = nullptr;
  float eps = 1e-6F;
  bool is_centred = false;
};

/// Where gradients of vectors are added; null for what does not train.
struct NormSums {
  float* weight = nullptr;
  float* bias = nullptr;
};

/// Floats of scratch that the calls below need for their partial sums over `columns` columns.
int64_t partial_floats(int64_t columns);

/// y[rows, columns] = norm(x)
void norm_forward(const Matrix& x, int64_t rows, int64_t columns, const Norm& norm, const Matrix& y,
                  Stream stream);
/// d_x = residual + the norm's gradient, d_x and residual float32 with `columns` a row; `partial`
/// holds partial_floats(2 * columns).
void norm_backward(const Matrix& d_y, const Matrix& x, int64_t rows, int64_t columns,
                   const Norm& norm, const float* residual, float* d_x, const NormSums& sums,
                   float* partial, Stream stream);

/// Heads of queries, keys or values: [rows, heads * head_size].
struct Heads {
  int64_t rows = 0, heads = 0, head_size = 0;
};
/// q and k: columns 0 and heads * head_size of `qkv`, normalised over each head.
void qk_norm_forward(const Matrix& qkv, const Heads& heads, const Norm& q_norm, const Norm& k_norm,
                     const Matrix& q, const Matrix& k, Stream stream);
/// d_qkv from the gradients of the normalised q and k and of v. Without weights (null) a part is
/// copied. `partial` holds partial_floats(4 * head_size).
struct QkvGradients {
  Matrix q, k, v;
};
void qk_norm_backward(const QkvGradients& gradients, const Matrix& qkv, const Heads& heads,
                      const Norm& q_norm, const Norm& k_norm, const Matrix& d_qkv,
                      const NormSums& q_sums, const NormSums& k_sums, float* partial,
                      Stream stream);

/// activation = form(pre + bias); `bias` may be null.
void bias_activation(const Matrix& pre, const float* bias, Activation form, int64_t rows,
                     int64_t columns, const Matrix& activation, Stream stream);
/// d_pre = d_activation * form'(pre + bias), activation = form(pre + bias); d_pre's column sums are
/// added to `bias_sums` where it is not null. `partial` holds partial_floats(columns).
void activation_backward(const Matrix& d_activation, const Matrix& pre, const float* bias,
                         Activation form, int64_t rows, int64_t columns, const Matrix& d_pre,
                         const Matrix& activation, float* bias_sums, float* partial, Stream stream);

/// A gated MLP's hidden units, form(gates) * (pre + bias); `bias` may be null.
struct GatedUnits {
  Matrix pre, gates;
  const float* bias = nullptr;
  Activation form = Activation::kGelu;
};
void gated_activation(const GatedUnits& units, int64_t rows, int64_t columns, const Matrix& hidden,
                      Stream stream);
/// Their gradients, and the units again; column sums of the gradients are added where not null.
/// `partial` holds partial_floats(2 * columns).
struct GatedGradients {
  Matrix pre, gates;
  float *bias_sums = nullptr, *gate_sums = nullptr;
};
void gated_backward(const Matrix& d_hidden, const GatedUnits& units, int64_t rows, int64_t columns,
                    const GatedGradients& gradients, const Matrix& hidden, float* partial,
                    Stream stream);

/// out = residual + scale * branch; `scale` may be null. The branch may have another type.
void add_branch(const Matrix& residual, const Matrix& branch, const float* scale, int64_t rows,
                int64_t columns, const Matrix& out, Stream stream);
/// d_branch = scale * gradient. Added where not null: the column sums of d_branch to `bias_sums`,
/// those of gradient * branch to `scale_sums`. `partial` holds partial_floats(2 * columns).
void branch_backward(const float* gradient, const Matrix& branch, const float* scale, int64_t rows,
                     int64_t columns, const Matrix& d_branch, float* bias_sums, float* scale_sums,
                     float* partial, Stream stream);

/// Stochastic rounding's random numbers: value i of the whole tensor takes core/rng.h's bits of
/// (seed, counter_high), so that no layout changes them.
struct Rounding {
  uint64_t seed = 0, counter_high = 0;
  PartLayout layout;
};

/// The numbers of an AdamW update; `scale` is on the device, and where it is not finite nothing
/// changes.
struct AdamWNumbers {
  float beta1 = 0.9F, beta2 = 0.999F;
  float root_scale = 1;  ///< 1 / sqrt(1 - beta2^t)
  float eps = 1e-8F;
  float step_size = 0;  ///< lr / (1 - beta1^t)
  float decay = 1;      ///< 1 - lr * weight_decay
};
/// Overwrites n weights (float32, or bfloat16 by stochastic rounding) and their float32 moments.
void adamw_update(int64_t n, const AdamWNumbers& numbers, const float* scale, const float* gradient,
                  const Matrix& weight, float* momentum, float* second_moment,
                  const Rounding& rounding, Stream stream);

/// Sums over rows and columns of (scale * gradient)^2, as partial sums that the caller adds up.
struct SquareSums {
  int64_t row_parts = 0;     ///< row_sums is [rows, row_parts]
  int64_t column_parts = 0;  ///< column_sums is [column_parts, columns]
};
SquareSums square_sums_shape(int64_t rows, int64_t columns);
void square_sums(const float* gradient, const float* scale, int64_t rows, int64_t columns,
                 float* row_sums, float* column_sums, Stream stream);

/// The numbers of an Adafactor update, after the second moments.
struct AdafactorNumbers {
  float beta1 = 0.9F;
  float learning_rate = 0;
  float weight_decay = 0;
};
/// m = bf16(beta1 m + (1 - beta1) scale g row_factor column_factor); weight -= lr (m + wd weight).
/// Null factors stand for ones. Nothing changes where `scale` is not finite. Tensors begin where an
/// allocator put them: at a multiple of 16 bytes.
void adafactor_update(int64_t rows, int64_t columns, const AdafactorNumbers& numbers,
                      const float* scale, const float* gradient, const float* row_factors,
                      const float* column_factors, const Matrix& weight, void* momentum_bf16,
                      const Rounding& rounding, Stream stream);

}  // namespace vit22b::cuda
