#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <utility>

#include "kernels/activation_kind.h"
#include "kernels/rounding.h"

namespace vit22b {

/// A norm over the last dim: RMSNorm, or LayerNorm with centring.
struct NormSpec {
  at::Tensor weight;  ///< [D] float32; undefined: no norm
  at::Tensor bias;    ///< [D] float32; may be undefined
  double eps = 1e-6;
  bool is_centred = false;
};

/// Where gradients of a norm's vectors are added, float32; undefined for what does not train.
struct NormSums {
  at::Tensor weight, bias;
};

/// q, k and v, or their gradients: [B, T, H, K], or views of it with K dense.
struct QkvHeads {
  at::Tensor q, k, v;
};

/// The norms of queries and keys, and their sums.
struct QkNorms {
  NormSpec q, k;
};
struct QkNormSums {
  NormSums q, k;
};

/// What a gated MLP's hidden units, form(gates) * (pre + bias), are made of.
struct GatedUnits {
  at::Tensor pre_NM, bias_M;  ///< the bias float32, may be undefined
  at::Tensor gates_NM;
};
/// Where their gradients go; the sums, of pre's and of the gates', may be undefined.
struct GatedGradients {
  at::Tensor pre_NM, gates_NM;
  at::Tensor bias_sums_M, gate_sums_M;
};

/// The numbers of an AdamW update beyond its tensors.
struct AdamWNumbers {
  double beta1 = 0.9, beta2 = 0.999;
  double correction1 = 1, correction2 = 1;  ///< 1 - beta^t
  double eps = 1e-8;
  double learning_rate = 0, weight_decay = 0;
};

/// The numbers of an Adafactor update beyond its tensors.
struct AdafactorNumbers {
  double beta1 = 0.9, beta2 = 0.999;
  double learning_rate = 0, weight_decay = 0;
  double square_eps = 1e-30;
};

/// What an AdamW update reads (the gradient) and overwrites: the weight float32, or bfloat16 by
/// stochastic rounding; the others float32.
struct AdamWTensors {
  at::Tensor gradient, weight, momentum, second_moment;
};

/// The same of an Adafactor update of a matrix: the momentum bfloat16; undefined factors stand for
/// ones.
struct AdafactorTensors {
  at::Tensor gradient_RC, row_factors_R, column_factors_C, weight_RC, momentum_RC;
};

/// A function of one tensor whose kernels are launched together.
class ReplayedFunction {
 public:
  virtual ~ReplayedFunction() = default;
  /// x has the example's shape, dtype and device; the result belongs to the caller.
  virtual at::Tensor operator()(const at::Tensor& x) = 0;
};

/// What a block and an update need beyond products and attention, fused where the device has
/// kernels for it: `aten` is the reference and runs anywhere, `cuda` comes from libvit22b_cuda.so.
///
/// Matrices are [N, D] float32 or bfloat16 with dense rows; arithmetic and sums are float32. No
/// call waits for the device.
class DeviceOps {
 public:
  virtual ~DeviceOps() = default;
  virtual const char* name() const = 0;

  /// norm(x) in `type`.
  virtual at::Tensor norm(const at::Tensor& x_ND, const NormSpec& spec,
                          at::ScalarType type) const = 0;
  /// residual + the gradient of x, float32 [N, D].
  virtual at::Tensor norm_backward(const at::Tensor& d_y_ND, const at::Tensor& x_ND,
                                   const NormSpec& spec, const at::Tensor& residual_ND,
                                   const NormSums& sums) const = 0;

  /// q and k of a projection [B, T, 3, H, K], normalised over each head, and its view of v.
  virtual QkvHeads split_heads(const at::Tensor& qkv_BT3HK, const QkNorms& norms) const = 0;
  /// Writes the projection's gradient from those of what split_heads gave.
  virtual void split_heads_backward(const QkvHeads& gradients, const at::Tensor& qkv_BT3HK,
                                    const QkNorms& norms, at::Tensor d_qkv_BT3HK,
                                    const QkNormSums& sums) const = 0;

  /// form(pre + bias); bias float32 [M], may be undefined.
  virtual at::Tensor bias_activation(const at::Tensor& pre_NM, const at::Tensor& bias_M,
                                     Activation form) const = 0;
  /// Writes d_pre and returns form(pre + bias). Adds d_pre's column sums to bias_sums where that is
  /// defined.
  virtual at::Tensor activation_backward(const at::Tensor& d_activation_NM,
                                         const at::Tensor& pre_NM, const at::Tensor& bias_M,
                                         Activation form, at::Tensor d_pre_NM,
                                         at::Tensor bias_sums) const = 0;

  /// form(gates) * (pre + bias): the hidden units of a gated MLP.
  virtual at::Tensor gated_activation(const GatedUnits& units, Activation form) const = 0;
  /// Writes the gradients of pre and of the gates, and returns the hidden units. Adds both
  /// gradients' column sums where those are defined.
  virtual at::Tensor gated_backward(const at::Tensor& d_hidden_NM, const GatedUnits& units,
                                    Activation form, const GatedGradients& gradients) const = 0;

  /// residual + scale * branch, dtype of the residual; scale float32 [D], may be undefined.
  virtual at::Tensor add_branch(const at::Tensor& residual_ND, const at::Tensor& branch_ND,
                                const at::Tensor& scale_D) const = 0;
  /// scale * gradient in `type`, of a float32 gradient. Adds its column sums to bias_sums, and
  /// those of gradient * branch to scale_sums, where they are defined.
  virtual at::Tensor branch_backward(const at::Tensor& gradient_ND, const at::Tensor& branch_ND,
                                     const at::Tensor& scale_D, at::ScalarType type,
                                     at::Tensor bias_sums, at::Tensor scale_sums) const = 0;

  /// gradient (+)= d_outputᵀ input, summed and kept in float32.
  virtual void weight_gradient(const at::Tensor& d_output_NM, const at::Tensor& input_ND,
                               bool is_overwrite, at::Tensor gradient_MD) const = 0;

  /// The gradient is multiplied by `scale` [1] first; where that is not finite nothing changes. A
  /// bfloat16 weight is rounded with the bits of `rounding`.
  virtual void adamw_update(const AdamWNumbers& numbers, const at::Tensor& scale,
                            const RoundingBits& rounding, const AdamWTensors& tensors) const = 0;

  /// Sums of (scale * gradient)^2 over the columns [R] and over the rows [C] of a matrix.
  virtual std::pair<at::Tensor, at::Tensor> square_sums(const at::Tensor& gradient_RC,
                                                        const at::Tensor& scale) const = 0;
  /// m = bf16(beta1 m + (1 - beta1) scale gradient row_factors column_factors), weight -= lr (m +
  /// wd weight). A scale that is not finite changes nothing.
  virtual void adafactor_update(const AdafactorNumbers& numbers, const at::Tensor& scale,
                                const RoundingBits& rounding,
                                const AdafactorTensors& tensors) const = 0;

  /// Whether cuDNN's attention is the device's fastest for bfloat16.
  virtual bool has_cudnn_attention(c10::Device) const { return false; }

  /// A function whose launches are recorded once and replayed as one; plain calls where a device
  /// has no such thing. What the function reads beside its argument must stay where it is.
  virtual std::unique_ptr<ReplayedFunction> replayed(
      const std::function<at::Tensor(const at::Tensor&)>& function,
      const at::Tensor& example) const = 0;

  /// While true, each of libtorch's calls that waits for the device is a c10 warning (for tests).
  virtual void report_waiting(bool is_reported) const = 0;
};

/// Plain ATen.
std::unique_ptr<DeviceOps> make_aten_ops();

/// The operations for tensors on a device. On a GPU libvit22b_cuda.so is loaded from beside the
/// program at the first call; without it they are plain ATen, with one line of warning.
const DeviceOps& device_ops(at::Device device);

/// The C symbol by which libvit22b_cuda.so gives its operations, and the interface's version: a
/// library of another build is refused.
constexpr const char* kCudaOpsSymbol = "vit22b_make_cuda_ops_4";

}  // namespace vit22b
