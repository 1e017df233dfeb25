#include "eval/labelled_features.h"

#include "checkpoint/container/safetensors_file.h"
#include "core/error.h"
#include "core/log.h"
#include "core/rng.h"
#include "eval/label_map.h"
#include "eval/sample_names.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

std::vector<bool> labels_in_use(const LabelledFeatures& set) {
  const at::Tensor counts =
      class_counts(set.labels_N, static_cast<int64_t>(set.label_names.size()));
  const std::span count(counts.const_data_ptr<int64_t>(), static_cast<size_t>(counts.numel()));
  std::vector<bool> is_used(count.size());
  std::transform(count.begin(), count.end(), is_used.begin(), [](int64_t n) { return n > 0; });
  return is_used;
}

constexpr int64_t kMaxClasses = 10'000'000;

/// Checks labels before they are counted, which takes memory for the largest.
void check_labelled(const LabelledFeatures& set) {
  if (set.labels_N.min().item<int64_t>() < 0)
    throw DataError(set.place,
                    " has samples without a label; want class folders, or a manifest with the "
                    "column `label`");
  if (const int64_t most = set.labels_N.max().item<int64_t>(); most >= kMaxClasses)
    throw DataError(set.place, " has label ", most, ", want labels below ", kMaxClasses);
}

LabelledFeatures read_table(const SafetensorsFile& file, const std::filesystem::path& path,
                            const std::string& features, const std::string& labels) {
  LabelledFeatures data{.place = path.string()};
  data.features_ND = file.load(features).to(at::kFloat);
  data.labels_N = read_whole_numbers(file, labels);
  if (data.features_ND.dim() != 2 || data.labels_N.dim() != 1 || data.size() == 0 ||
      data.features_ND.size(0) != data.size())
    throw DataError(data.place, ": ", features, " ", shape_text(data.features_ND.sizes()), " and ",
                    labels, " ", shape_text(data.labels_N.sizes()), ", want [N, D] and [N]");
  if (!data.features_ND.isfinite().all().item<bool>())
    throw DataError(data.place, ": ", features, " have values that are not finite");
  if (data.labels_N.min().item<int64_t>() < 0)
    throw DataError(data.place, ": ", labels, " have values below 0; leave unlabelled samples out");
  return data;
}

/// Those of these rows; none of an empty list.
std::vector<std::string> rows_of(const std::vector<std::string>& all, const at::Tensor& indices) {
  std::vector<std::string> rows;
  if (all.empty()) return rows;
  for (int64_t i = 0; i < indices.size(0); ++i)
    rows.push_back(all.at(static_cast<size_t>(indices[i].item<int64_t>())));
  return rows;
}

}  // namespace

LabelledFeatures LabelledFeatures::subset(const at::Tensor& indices) const {
  return {features_ND.index_select(0, indices), labels_N.index_select(0, indices), label_names,
          place, rows_of(contents, indices)};
}

LabelledFeatures read_features(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  LabelledFeatures data =
      read_table(file, path, file.contains("features") ? "features" : "pooled", "labels");
  data.contents = read_contents(file, data.size());
  data.label_names = read_texts(file, "label_names");
  const auto num_names = static_cast<int64_t>(data.label_names.size());
  if (num_names > 0 && data.labels_N.max().item<int64_t>() >= num_names)
    throw DataError(data.place, ": labels have values for which its ", num_names,
                    " label_names have none");
  return data;
}

PairedFeatures read_pairs(const std::filesystem::path& path) {
  PairedFeatures pairs{read_features(path), {}};
  pairs.texts = read_table(SafetensorsFile(path), path, "texts", "text_labels");
  if (pairs.texts.features_ND.size(1) != pairs.images.features_ND.size(1))
    throw DataError(path.string(), ": features of images have width ",
                    pairs.images.features_ND.size(1), ", of texts ",
                    pairs.texts.features_ND.size(1), "; want one joint space");
  return pairs;
}

LabelledFeatures in_classes_of(const LabelledFeatures& train, LabelledFeatures test,
                               const std::string& class_map) {
  if (train.label_names.empty() || (class_map.empty() && test.label_names == train.label_names))
    return test;
  check_labelled(test);
  const KnownClasses known{static_cast<int64_t>(train.label_names.size()),
                           train.label_names,
                           {},
                           train.place,
                           "; --class-map FILE says which class is which"};
  const LabelMap map =
      label_map({test.label_names, labels_in_use(test), test.place}, known, class_map);
  if (map.by != "name") log_info(concat(test.place, ": labels by ", map.by));
  test.labels_N = at::tensor(map.classes, at::kLong).index_select(0, test.labels_N);
  test.label_names = train.label_names;
  return test;
}

int64_t count_classes(const LabelledFeatures& train, const LabelledFeatures& test) {
  if (train.features_ND.size(1) != test.features_ND.size(1))
    throw DataError(train.place, " has features of width ", train.features_ND.size(1), ", ",
                    test.place, " of width ", test.features_ND.size(1),
                    "; make both with one checkpoint");
  check_labelled(train);
  check_labelled(test);
  int64_t classes = 0;
  for (const LabelledFeatures* set : {&train, &test})
    classes = std::max(classes, set->labels_N.max().item<int64_t>() + 1);
  const auto named = static_cast<int64_t>(train.label_names.size());
  if (named > 0 && classes > named)
    throw DataError(test.place, " has label ", classes - 1, ", but there are ", named, " classes");
  classes = std::max(classes, named);
  if (classes < 2 || classes > kMaxClasses)
    throw DataError(train.place, " has ", classes, " classes, want 2 or more");
  return classes;
}

at::Tensor class_counts(const at::Tensor& labels_N, int64_t num_classes) {
  return at::bincount(labels_N, {}, num_classes);
}

HoldOut hold_out(int64_t n, double part, uint64_t seed) {
  const int64_t held = std::clamp<int64_t>(std::llround(part * static_cast<double>(n)), 1, n - 1);
  const RandomPermutation order(static_cast<uint64_t>(n), seed, "hold out");
  at::Tensor drawn = at::empty({n}, at::kLong);
  auto* drawn_data = drawn.data_ptr<int64_t>();
  for (int64_t i = 0; i < n; ++i)
    drawn_data[i] = static_cast<int64_t>(order(static_cast<uint64_t>(i)));
  return {std::get<0>(drawn.slice(0, held).sort()), std::get<0>(drawn.slice(0, 0, held).sort())};
}

}  // namespace vit22b
