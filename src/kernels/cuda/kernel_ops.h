#pragma once
#include "kernels/cuda/launch.h"
#include "kernels/device_ops.h"

namespace vit22b::cuda {

/// The operations on the kernels of launch.h, each on its tensors' device; what is left to the
/// device's own module is the stream, products with float32 sums, recorded launches and the ban on
/// waiting.
class KernelOps : public DeviceOps {
 public:
  at::Tensor norm(const at::Tensor& x_ND, const NormSpec& spec, at::ScalarType type) const override;
  at::Tensor norm_backward(const at::Tensor& d_y_ND, const at::Tensor& x_ND, const NormSpec& spec,
                           const at::Tensor& residual_ND,
                           const vit22b::NormSums& sums) const override;
  QkvHeads split_heads(const at::Tensor& qkv_BT3HK, const QkNorms& norms) const override;
  void split_heads_backward(const QkvHeads& gradients, const at::Tensor& qkv_BT3HK,
                            const QkNorms& norms, at::Tensor d_qkv_BT3HK,
                            const QkNormSums& sums) const override;
  at::Tensor bias_activation(const at::Tensor& pre_NM, const at::Tensor& bias_M,
                             Activation form) const override;
  at::Tensor activation_backward(const at::Tensor& d_activation_NM, const at::Tensor& pre_NM,
                                 const at::Tensor& bias_M, Activation form, at::Tensor d_pre_NM,
                                 at::Tensor bias_sums) const override;
  at::Tensor gated_activation(const vit22b::GatedUnits& units, Activation form) const override;
  at::Tensor gated_backward(const at::Tensor& d_hidden_NM, const vit22b::GatedUnits& units,
                            Activation form,
                            const vit22b::GatedGradients& gradients) const override;
  at::Tensor add_branch(const at::Tensor& residual_ND, const at::Tensor& branch_ND,
                        const at::Tensor& scale_D) const override;
  at::Tensor branch_backward(const at::Tensor& gradient_ND, const at::Tensor& branch_ND,
                             const at::Tensor& scale_D, at::ScalarType type, at::Tensor bias_sums,
                             at::Tensor scale_sums) const override;
  void adamw_update(const vit22b::AdamWNumbers& numbers, const at::Tensor& scale,
                    const RoundingBits& rounding, const AdamWTensors& tensors) const override;
  std::pair<at::Tensor, at::Tensor> square_sums(const at::Tensor& gradient_RC,
                                                const at::Tensor& scale) const override;
  void adafactor_update(const vit22b::AdafactorNumbers& numbers, const at::Tensor& scale,
                        const RoundingBits& rounding,
                        const AdafactorTensors& tensors) const override;

 protected:
  /// Where a device's kernels are enqueued; the device is the current one.
  virtual Stream stream(c10::Device device) const = 0;
};

}  // namespace vit22b::cuda
