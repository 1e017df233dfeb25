#include "train/throughput.h"

#include "core/alternation.h"
#include "eval/vit_predictor.h"
#include "model/engine/fused_block.h"

namespace vit22b {
namespace {

constexpr double kHopperDenseBf16 = 989.4e12;  // H100 and H200 SXM data sheets, without sparsity
constexpr double kHopperFp32 = 67e12;

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
  if (device.is_cuda) return is_half ? kHopperDenseBf16 : kHopperFp32;
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
  total_seconds_ += seconds;
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
