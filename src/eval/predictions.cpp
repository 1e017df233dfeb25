#include "eval/predictions.h"

#include <ATen/ATen.h>

#include "checkpoint/container/safetensors_file.h"
#include "core/error.h"
#include "core/log.h"
#include "eval/sample_names.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

at::Tensor labels_of(const SafetensorsFile& file, int64_t rows) {
  at::Tensor labels_N = read_whole_numbers(file, "labels");
  if (labels_N.dim() != 1 || labels_N.size(0) != rows)
    throw DataError(file.path().string(), ": labels are ", shape_text(labels_N.sizes()),
                    ", want whole numbers [", rows, "]");
  return labels_N;
}

}  // namespace

std::optional<LabelMap> map_of_labels(const SafetensorsFile& file, const at::Tensor& labels_N,
                                      int64_t num_classes, const std::string& class_map) {
  const std::vector<std::string> names = read_texts(file, "label_names");
  if (names.empty() || labels_N.numel() == 0) return std::nullopt;
  std::vector<bool> has_samples(names.size());
  for (int64_t i = 0; i < labels_N.size(0); ++i) {
    const auto label = labels_N[i].item<int64_t>();
    if (label >= static_cast<int64_t>(names.size()))
      throw DataError(file.path().string(), ": label ", label, " has none of its ", names.size(),
                      " label_names");
    if (label >= 0) has_samples[static_cast<size_t>(label)] = true;
  }
  const std::string place = file.path().string();
  LabelMap map = label_map({names, has_samples, place},
                           {num_classes,
                            read_texts(file, "logit_names"),
                            {},
                            "the model of " + place,
                            "; --class-map FILE says which class is which"},
                           class_map);
  if (map.by != "name") log_info(concat(place, ": labels by ", map.by));
  return map;
}

namespace {

// Without labels.
Predictions logits_of(const std::shared_ptr<const SafetensorsFile>& file) {
  const std::string place = file->path().string();
  const StoredTensor& logits = file->entry("logits");
  if (logits.shape.size() != 2 || !c10::isFloatingType(logits.dtype))
    throw DataError(place, ": logits are ", c10::toString(logits.dtype), " ",
                    shape_text(logits.shape), ", want floating-point numbers [N, C]");
  const int64_t rows = logits.shape[0];
  Predictions predictions{place, logits.shape[1], at::zeros({rows}, at::kLong),
                          at::arange(rows, at::kLong)};
  predictions.ids = read_texts(*file, "paths");
  predictions.class_names = read_texts(*file, "logit_names");
  if (!predictions.ids.empty() && static_cast<int64_t>(predictions.ids.size()) != rows)
    throw DataError(place, ": ", predictions.ids.size(), " paths of ", rows, " samples");
  const auto num_names = static_cast<int64_t>(predictions.class_names.size());
  if (num_names != 0 && num_names != predictions.num_classes)
    throw DataError(place, ": ", num_names, " names of ", predictions.num_classes, " classes");
  predictions.logits = [file, &logits](int64_t first, int64_t count) {
    // Read only: a mapping has no writable pages.
    auto* const data = const_cast<std::byte*>(file->bytes(logits).data());
    return at::from_blob(data, logits.shape, logits.dtype)
        .narrow(0, first, count)
        .to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  };
  return predictions;
}

}  // namespace

Predictions read_unlabelled_predictions(const std::filesystem::path& path) {
  return logits_of(std::make_shared<const SafetensorsFile>(path));
}

Predictions read_predictions(const std::filesystem::path& path, const std::string& class_map) {
  const auto file = std::make_shared<const SafetensorsFile>(path);
  Predictions predictions = logits_of(file);
  predictions.labels_N = labels_of(*file, predictions.size());
  if (const auto map =
          map_of_labels(*file, predictions.labels_N, predictions.num_classes, class_map)) {
    const at::Tensor classes = at::tensor(map->classes, at::kLong);
    const at::Tensor is_labelled = predictions.labels_N.ge(0);
    predictions.labels_N =
        at::where(is_labelled, classes.index_select(0, predictions.labels_N.clamp_min(0)),
                  predictions.labels_N);
  }
  return predictions;
}

Predictions part_of(const Predictions& whole, const at::Tensor& places_M) {
  Predictions part = whole;
  part.labels_N = whole.labels_N.index_select(0, places_M);
  part.indices_N = whole.indices_N.index_select(0, places_M);
  part.ids.clear();
  for (int64_t i = 0; i < places_M.size(0) && !whole.ids.empty(); ++i)
    part.ids.push_back(whole.ids.at(static_cast<size_t>(places_M[i].item<int64_t>())));
  part.logits = [logits = whole.logits, places_M](int64_t first, int64_t count) {
    const at::Tensor places = places_M.narrow(0, first, count);
    if (count == 0) return logits(0, 0);
    const auto begin = places[0].item<int64_t>(), end = places[count - 1].item<int64_t>() + 1;
    return logits(begin, end - begin).index_select(0, places - begin);
  };
  return part;
}

Predictions scaled(const Predictions& predictions, double factor) {
  Predictions changed = predictions;
  changed.logits = [logits = predictions.logits, factor](int64_t first, int64_t count) {
    return logits(first, count) * factor;
  };
  return changed;
}

}  // namespace vit22b
