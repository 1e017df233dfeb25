#include "train/data_setup.h"

#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "data/class_names.h"
#include "data/derived_sources.h"
#include "data/splits.h"
#include "eval/label_map.h"
#include "train/transform_setup.h"

namespace vit22b {
namespace {

/// The part of the training split that validates; nothing where data.val is a split's name.
std::optional<double> held_out_part(const std::string& val) {
  const auto part = percent(val);
  if (!part && val.ends_with("%"))
    throw UsageError("data.val is '", val,
                     "', want a split's name, a part between 0% and 100%, or \"\"");
  return part;
}

}  // namespace

SourceOptions source_options(const DataConfig& config) {
  return {.split_folders = config.split_folders, .allow_empty = config.allow_empty};
}

TrainData open_train_data(const DataConfig& config) {
  const auto part = held_out_part(config.val);
  std::shared_ptr<const DataSource> whole =
      open_source(source_text(config), config.train_split, source_options(config));
  if (config.val.empty()) return {whole, nullptr};
  if (!part) {
    SourceOptions options = source_options(config);
    options.allow_empty = true;
    return {whole, open_source(source_text(config), config.val, options)};
  }
  const int64_t total = whole->size();
  const int64_t held_out = std::max<int64_t>(1, std::llround(*part * static_cast<double>(total)));
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

void complete_from_data(TrainConfig& config, const DataSource& source, const std::string& start) {
  if (!config.task_options().has_classes()) return;
  const auto classes = static_cast<int64_t>(source.label_names().size());
  if (classes == 0)
    throw DataError(config.data.root, " has no labels, which task=", config.task,
                    " needs; want class folders, or a manifest with the column `label`");
  if (!config.has_num_classes) config.model.num_classes = classes;
  if (config.model.num_classes < classes)
    throw DataError(config.data.root, " has ", classes, " classes, model.num_classes is ",
                    config.model.num_classes, "; leave it unset to count them");
  if (config.data.label_names.empty()) config.data.label_names = source.label_names();
  if (static_cast<int64_t>(config.data.label_names.size()) < classes)
    throw UsageError("data.label_names has ", config.data.label_names.size(), " names, ",
                     config.data.root, " has ", classes, " classes");
  for (const std::string& name : config.data.label_names)
    check_class_name(name, "data.label_names");
  complete_transforms(config, start);
}

void match_validation(const TrainConfig& config, TrainData& data) {
  if (data.val == nullptr || percent(config.data.val)) return;
  const std::vector<std::string>& names = data.train->label_names();
  const KnownClasses known{static_cast<int64_t>(names.size()),
                           names,
                           {},
                           concat("the split '", config.data.train_split, "'"),
                           "; data.class_map=FILE says which class is which"};
  const std::string place = concat(config.data.root, ", split '", config.data.val, "'");
  const LabelMap map = label_map(classes_of(*data.val, place), known, config.data.class_map);
  data.val = in_known_classes(data.val, map, known);
}

}  // namespace vit22b
