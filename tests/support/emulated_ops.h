#pragma once
#include "kernels/cuda/kernel_ops.h"

namespace vit22b::test {

/// The CUDA kernels' operations on CPU tensors: the kernels' own sources, built for the emulator.
class EmulatedOps : public cuda::KernelOps {
 public:
  const char* name() const override { return "emulated"; }
  void weight_gradient(const at::Tensor& d_output_NM, const at::Tensor& input_ND, bool is_overwrite,
                       at::Tensor gradient_MD) const override {
    aten_->weight_gradient(d_output_NM, input_ND, is_overwrite, gradient_MD);
  }
  std::unique_ptr<ReplayedFunction> replayed(
      const std::function<at::Tensor(const at::Tensor&)>& function,
      const at::Tensor& example) const override {
    return aten_->replayed(function, example);
  }
  void report_waiting(bool) const override {}

 protected:
  cuda::Stream stream(c10::Device) const override { return nullptr; }

 private:
  std::unique_ptr<DeviceOps> aten_ = make_aten_ops();
};

}  // namespace vit22b::test
