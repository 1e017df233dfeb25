#include "eval/predictions.h"

#include <ATen/ATen.h>

#include "checkpoint/container/safetensors_file.h"
#include "core/error.h"
#include "eval/sample_names.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

at::Tensor whole_numbers(const SafetensorsFile& file, const char* name, int64_t rows) {
  const at::Tensor values = file.load(name);
  if (values.dim() != 1 || values.size(0) != rows || c10::isFloatingType(values.scalar_type()))
    throw DataError(file.path().string(), ": ", name, " are ", c10::toString(values.scalar_type()),
                    " ", shape_text(values.sizes()), ", want whole numbers [", rows, "]");
  return values.to(at::kLong);
}

}  // namespace

Predictions read_predictions(const std::filesystem::path& path) {
  const auto file = std::make_shared<const SafetensorsFile>(path);
  const StoredTensor& logits = file->entry("logits");
  if (logits.shape.size() != 2 || !c10::isFloatingType(logits.dtype))
    throw DataError(path.string(), ": logits are ", c10::toString(logits.dtype), " ",
                    shape_text(logits.shape), ", want floating-point numbers [N, C]");
  const int64_t rows = logits.shape[0];
  Predictions predictions{path.string(), logits.shape[1], whole_numbers(*file, "labels", rows),
                          at::arange(rows, at::kLong)};
  predictions.ids = read_texts(*file, "paths");
  predictions.class_names = read_texts(*file, "logit_names");
  if (!predictions.ids.empty() && static_cast<int64_t>(predictions.ids.size()) != rows)
    throw DataError(path.string(), ": ", predictions.ids.size(), " paths of ", rows, " samples");
  const auto num_names = static_cast<int64_t>(predictions.class_names.size());
  if (num_names != 0 && num_names != predictions.num_classes)
    throw DataError(path.string(), ": ", num_names, " names of ", predictions.num_classes,
                    " classes");
  predictions.logits = [file, &logits](int64_t first, int64_t count) {
    // Read only: a mapping has no writable pages.
    auto* const data = const_cast<std::byte*>(file->bytes(logits).data());
    return at::from_blob(data, logits.shape, logits.dtype)
        .narrow(0, first, count)
        .to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  };
  return predictions;
}

}  // namespace vit22b
