#include "train/throughput.h"

#include "core/alternation.h"
#include "core/device_spec.h"
#include "eval/vit_predictor.h"
#include "model/engine/fused_block.h"

namespace vit22b {
namespace {

// ATen's products, the best of a few: the first chooses kernels.
double measured_gpu_rate(const Device& device, at::ScalarType dtype) {
  constexpr int64_t kSide = 8192;
  constexpr int kTries = 4;
  const at::TensorOptions options = at::TensorOptions(torch_device(device)).dtype(dtype);
  const at::Tensor a = at::randn({kSide, kSide}, options), b = at::randn({kSide, kSide}, options);
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const double seconds = seconds_of([&] { at::matmul(a, b).flatten()[0].item(); });
    best = std::max(best, 2.0 * kSide * kSide * kSide / seconds);
  }
  return best;
}

// The better of ATen's products and our own.
double measured_gemm_rate(at::ScalarType dtype) {
  constexpr int64_t kSide = 1024;
  constexpr int kTries = 8;
  const at::Tensor a = at::randn({kSide, kSide}).to(dtype), b = at::randn({kSide, kSide}).to(dtype);
  const at::Tensor c = at::empty({kSide, kSide});
  const cpu::Arithmetic arithmetic = cpu::best_arithmetic(fused::rows_of(a).storage);
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const double aten = seconds_of([&] { at::matmul(a, b); }),
                 ours = seconds_of([&] {
                   cpu::product_into(fused::tile_of(c),
                                     {{.a = fused::rows_of(a), .b = fused::rows_of(b), .k = kSide}},
                                     false, arithmetic);
                 });
    best = std::max(best, 2.0 * kSide * kSide * kSide / std::min(aten, ours));
  }
  return best;
}

}  // namespace

double peak_flops(const Device& device, const std::string& precision) {
  const at::NoGradGuard no_grad;
  const bool is_half = precision_type(precision) == at::kBFloat16;
  if (device.is_cuda()) {
    if (const auto sheet = data_sheet(device)) return sheet->peak_flops(precision);
    return measured_gpu_rate(device, is_half ? at::kBFloat16 : at::kFloat);
  }
  // Once a process. Where a CPU has no bf16 products, its float32 rate is the one to be measured
  // against.
  static const double kFloatRate = measured_gemm_rate(at::kFloat);
  if (!is_half) return kFloatRate;
  static const double kHalfRate = std::max(kFloatRate, measured_gemm_rate(at::kBFloat16));
  return kHalfRate;
}

Throughput::Throughput(double flops_of_sample, double peak)
    : flops_of_sample_(flops_of_sample), peak_(peak) {}

void Throughput::add(int64_t images, double seconds, double waited_seconds) {
  images_ += static_cast<double>(images);
  seconds_ += seconds;
  waited_ += waited_seconds;
}

Speed Throughput::take() {
  Speed speed;
  if (seconds_ > 0) {
    speed.images_per_second = images_ / seconds_;
    speed.data_share = waited_ / seconds_;
    speed.flops = speed.images_per_second * flops_of_sample_;
    speed.mfu = speed.flops / peak_;
  }
  images_ = seconds_ = waited_ = 0;
  return speed;
}

}  // namespace vit22b
