#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "kernels/cuda/kernel_ops.h"

namespace vit22b::cuda {
namespace {

constexpr int kWarmUps = 3;  // libraries choose kernels and take workspaces in the first calls

/// Launches recorded into a CUDA graph: the argument is copied into a place of its own, and the
/// result out of one.
class RecordedFunction : public ReplayedFunction {
 public:
  RecordedFunction(const std::function<at::Tensor(const at::Tensor&)>& function,
                   const at::Tensor& example)
      : input_(example.clone()) {
    const c10::cuda::CUDAStreamGuard guard(
        c10::cuda::getStreamFromPool(/*isHighPriority=*/false, example.device().index()));
    // Waits for the device, once a shape: the example may be made on another stream.
    c10::cuda::device_synchronize();
    for (int i = 0; i < kWarmUps; ++i) output_ = function(input_);
    c10::cuda::device_synchronize();
    graph_.capture_begin();
    output_ = function(input_);
    graph_.capture_end();
    c10::cuda::device_synchronize();
  }

  at::Tensor operator()(const at::Tensor& x) override {
    const c10::cuda::CUDAGuard guard(input_.device());
    input_.copy_(x);
    graph_.replay();
    return output_.clone();
  }

 private:
  at::cuda::CUDAGraph graph_;
  at::Tensor input_, output_;
};

/// The kernels on libtorch's current stream.
class CudaOps : public KernelOps {
 public:
  const char* name() const override { return "cuda"; }

  void weight_gradient(const at::Tensor& d_output_NM, const at::Tensor& input_ND, bool is_overwrite,
                       at::Tensor gradient_MD) const override {
    const at::Tensor d_output_MN = d_output_NM.t();
    if (input_ND.scalar_type() == at::kFloat) {
      gradient_MD.addmm_(d_output_MN, input_ND, is_overwrite ? 0 : 1);
    } else if (is_overwrite) {
      at::mm_out(gradient_MD, d_output_MN, input_ND, at::kFloat);
    } else {
      at::addmm_out(gradient_MD, gradient_MD, d_output_MN, input_ND, at::kFloat);
    }
  }

  bool has_cudnn_attention(c10::Device device) const override {
    constexpr int kHopper = 9;
    return at::detail::getCUDAHooks().hasCuDNN() &&
           at::cuda::getDeviceProperties(device.index())->major >= kHopper;
  }

  std::unique_ptr<ReplayedFunction> replayed(
      const std::function<at::Tensor(const at::Tensor&)>& function,
      const at::Tensor& example) const override {
    return std::make_unique<RecordedFunction>(function, example);
  }

  void report_waiting(bool is_reported) const override {
    c10::cuda::warning_state().set_sync_debug_mode(
        is_reported ? c10::cuda::SyncDebugMode::L_WARN : c10::cuda::SyncDebugMode::L_DISABLED);
  }

 protected:
  Stream stream(c10::Device device) const override {
    return c10::cuda::getCurrentCUDAStream(device.index()).stream();
  }
};

}  // namespace
}  // namespace vit22b::cuda

// Looked up by name after dlopen; the caller owns the result.
extern "C" __attribute__((visibility("default"))) vit22b::DeviceOps* vit22b_make_cuda_ops_3() {
  return std::make_unique<vit22b::cuda::CudaOps>().release();
}
