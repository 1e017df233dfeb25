#include "train/data_setup.h"

#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "train/transform_setup.h"

namespace vit22b {
namespace {

/// 0.05 for "5%"; negative for another text.
double percent_of(const std::string& text) {
  if (!text.ends_with("%")) return -1;
  const auto number = leading_number(text);
  if (number && number->second == "%" && number->first > 0 && number->first < 100)
    return number->first / 100;
  throw UsageError("data.val is '", text,
                   "', want a split's name, a part between 0% and 100%, or \"\"");
}

}  // namespace

TrainData open_train_data(const DataConfig& config) {
  std::shared_ptr<const DataSource> whole = open_source(source_text(config), config.train_split);
  if (config.val.empty()) return {whole, nullptr};
  const double part = percent_of(config.val);
  if (part < 0) return {whole, open_source(source_text(config), config.val)};
  const int64_t total = whole->size();
  const int64_t held_out = std::max<int64_t>(1, std::llround(part * static_cast<double>(total)));
  if (held_out >= total)
    throw DataError(config.root, ": ", total, " images are too few to hold out ", config.val);
  const RandomPermutation order(static_cast<uint64_t>(total), /*seed=*/0, "validation");
  std::vector<int64_t> train, val;
  for (int64_t i = 0; i < total; ++i) {
    const auto sample = static_cast<int64_t>(order(static_cast<uint64_t>(i)));
    (i < held_out ? val : train).push_back(sample);
  }
  return {make_subset(whole, std::move(train)), make_subset(whole, std::move(val))};
}

void complete_from_data(TrainConfig& config, const DataSource& source) {
  if (config.task == "lit") return;  // open_lit has completed it
  const auto classes = static_cast<int64_t>(source.label_names().size());
  if (classes == 0)
    throw DataError(config.data.root, " has no labels, which task=", config.task,
                    " needs; want class folders, or a manifest with the column `label`");
  if (!config.has_num_classes) config.model.num_classes = classes;
  if (config.model.num_classes < classes)
    throw DataError(config.data.root, " has ", classes, " classes, model.num_classes is ",
                    config.model.num_classes, "; leave it unset to count them");
  if (config.data.label_names.empty()) config.data.label_names = source.label_names();
  complete_transforms(config);
}

}  // namespace vit22b
