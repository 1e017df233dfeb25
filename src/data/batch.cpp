#include "data/batch.h"

#include <cmath>

#include "core/error.h"
#include "core/rng.h"

namespace vit22b {
namespace {

/// Johnk's method: short for alpha up to 1.
double beta_draw(double alpha, const CounterRng& rng, uint64_t first) {
  constexpr uint64_t kMostTries = 1000;
  for (uint64_t i = 0; i < kMostTries; ++i) {
    const double x = std::pow(rng.uniform(first + 2 * i), 1 / alpha),
                 y = std::pow(rng.uniform(first + 2 * i + 1), 1 / alpha);
    if (x + y > 0 && x + y <= 1) return x / (x + y);
  }
  return 1;
}

}  // namespace

Batch Batch::to(c10::Device device) const {
  Batch moved = *this;
  for (at::Tensor* tensor : {&moved.images_BCHW, &moved.labels_B, &moved.mixed_labels_B})
    if (tensor->defined()) *tensor = tensor->to(device);
  for (auto& [name, tensor] : moved.fields) tensor = tensor.to(device);
  return moved;
}

std::vector<Batch> Batch::pieces(int64_t count) const {
  const auto labels = labels_B.chunk(count);
  std::vector<Batch> parts(labels.size());
  const auto cut = [&](const at::Tensor& whole, const std::function<at::Tensor&(Batch&)>& member) {
    if (!whole.defined()) return;
    const auto chunks = whole.chunk(count);
    for (size_t i = 0; i < parts.size(); ++i) member(parts[i]) = chunks[i];
  };
  cut(images_BCHW, [](Batch& b) -> at::Tensor& { return b.images_BCHW; });
  cut(labels_B, [](Batch& b) -> at::Tensor& { return b.labels_B; });
  cut(mixed_labels_B, [](Batch& b) -> at::Tensor& { return b.mixed_labels_B; });
  for (const auto& [name, tensor] : fields)
    cut(tensor, [&name = name](Batch& b) -> at::Tensor& { return b.fields[name]; });
  for (Batch& part : parts) part.share = share;
  return parts;
}

Batch mixed(const Batch& batch, double alpha, uint64_t seed, int64_t step) {
  VIT22B_CHECK(alpha > 0 && alpha <= 1, "mixed: alpha ", alpha);
  constexpr uint64_t kDrawsPerStep = 1 << 16;
  const CounterRng rng(seed, "mixup", "share");
  Batch out = batch;
  out.share = beta_draw(alpha, rng, static_cast<uint64_t>(step) * kDrawsPerStep);
  out.images_BCHW = batch.images_BCHW * out.share + batch.images_BCHW.roll(1, 0) * (1 - out.share);
  out.mixed_labels_B = batch.labels_B.roll(1, 0);
  return out;
}

}  // namespace vit22b
