#include "data/batch.h"

#include <algorithm>
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

Batch Batch::each_model_input(const std::function<at::Tensor(const at::Tensor&)>& change) const {
  Batch changed = *this;
  for (at::Tensor* tensor : {&changed.labels_B, &changed.mixed_labels_B})
    if (tensor->defined()) *tensor = change(*tensor);
  for (auto& [name, tensor] : changed.fields) tensor = change(tensor);
  for (auto& [name, tensors] : changed.ragged)
    for (at::Tensor& tensor : tensors) tensor = change(tensor);
  return changed;
}

Batch batch_of(const at::Tensor& images_BCHW, const at::Tensor& labels_B) {
  return {.labels_B = labels_B, .ids = {}, .fields = {{kImageField, images_BCHW}}};
}

at::Tensor Batch::images_BCHW() const {
  const auto images = fields.find(kImageField);
  return images == fields.end() ? at::Tensor() : images->second;
}

Batch Batch::to(c10::Device device) const {
  // A copy from pinned memory is waited for by what uses it, on the device.
  const bool is_asynchronous = !device.is_cpu();
  return each_model_input(
      [&](const at::Tensor& tensor) { return tensor.to(device, is_asynchronous); });
}

Batch Batch::pinned() const {
  return each_model_input([](const at::Tensor& tensor) { return tensor.pin_memory(); });
}

std::vector<Batch> Batch::pieces(int64_t count) const {
  VIT22B_CHECK(ragged.empty(), "Batch::pieces: fields of several sizes");
  const auto labels = labels_B.chunk(count);
  std::vector<Batch> parts(labels.size());
  const auto cut = [&](const at::Tensor& whole, const std::function<at::Tensor&(Batch&)>& member) {
    if (!whole.defined()) return;
    const auto chunks = whole.chunk(count);
    for (size_t i = 0; i < parts.size(); ++i) member(parts[i]) = chunks[i];
  };
  cut(labels_B, [](Batch& b) -> at::Tensor& { return b.labels_B; });
  cut(indices_B, [](Batch& b) -> at::Tensor& { return b.indices_B; });
  cut(mixed_labels_B, [](Batch& b) -> at::Tensor& { return b.mixed_labels_B; });
  for (const auto& [name, tensor] : fields)
    cut(tensor, [&name = name](Batch& b) -> at::Tensor& { return b.fields[name]; });
  for (Batch& part : parts) part.share = share;
  return parts;
}

namespace {

/// The first samples of a batch.
Batch first_of(const Batch& batch, int64_t count) {
  Batch first = batch;
  for (at::Tensor* tensor : {&first.labels_B, &first.indices_B})
    if (tensor->defined()) *tensor = tensor->narrow(0, 0, count);
  for (auto& [name, tensor] : first.fields) tensor = tensor.narrow(0, 0, count);
  if (static_cast<int64_t>(first.ids.size()) > count) first.ids.resize(static_cast<size_t>(count));
  if (static_cast<int64_t>(first.geometries.size()) > count)
    first.geometries.resize(static_cast<size_t>(count));
  return first;
}

/// Row i becomes row i - 1 of `num_own` rows; the first becomes the last of all.
at::Tensor neighbours(const at::Tensor& rows, int64_t num_own) {
  return at::cat({rows.narrow(0, rows.size(0) - 1, 1), rows.narrow(0, 0, num_own - 1)});
}

}  // namespace

Batch mixed(const Batch& batch, double alpha, uint64_t seed, int64_t step, int64_t num_own) {
  VIT22B_CHECK(alpha > 0 && alpha <= 1, "mixed: alpha ", alpha);
  const int64_t rows = batch.labels_B.size(0);
  num_own = num_own == 0 ? rows : std::min(num_own, rows);
  constexpr uint64_t kDrawsPerStep = 1 << 16;
  const CounterRng rng(seed, "mixup", "share");
  Batch out = first_of(batch, num_own);
  out.share = beta_draw(alpha, rng, static_cast<uint64_t>(step) * kDrawsPerStep);
  out.fields.at(kImageField) =
      out.images_BCHW() * out.share + neighbours(batch.images_BCHW(), num_own) * (1 - out.share);
  out.mixed_labels_B = neighbours(batch.labels_B, num_own);
  return out;
}

}  // namespace vit22b
