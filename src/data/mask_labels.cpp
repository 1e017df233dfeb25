#include "data/mask_labels.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/text_table.h"
#include "data/kinds/kinds.h"
#include "data/sources/mask_folder.h"

namespace vit22b {
namespace {

at::Tensor decoded_values(const Sample& sample, const std::string& id) {
  const auto mask = sample.fields.find(kMaskField);
  if (mask == sample.fields.end())
    throw DataError(id, " has no mask; want data with masks, such as masks:DIR");
  if (mask->second.is_decoded()) return mask->second.value;
  return picture_kind(FieldKind::kMask)
      .decoded({mask->second.encoded, "the mask of " + id, sample.max_pixels});
}

class MaskClasses : public DataSource {
 public:
  MaskClasses(std::shared_ptr<const DataSource> source, const MaskLabels& labels,
              int64_t num_classes)
      : source_(std::move(source)), labels_(labels), num_classes_(num_classes) {}

  int64_t size() const override { return source_->size(); }
  Sample read(int64_t index) const override {
    Sample sample = source_->read(index);
    const at::Tensor values = decoded_values(sample, sample.id);
    sample.fields[kMaskField] = {FieldKind::kMask,
                                 labels_.classes(values, num_classes_, sample.id)};
    return sample;
  }
  std::string id(int64_t index) const override { return source_->id(index); }
  int64_t label(int64_t index) const override { return source_->label(index); }
  const std::vector<std::string>& label_names() const override { return source_->label_names(); }
  std::string fingerprint() const override { return source_->fingerprint() + rule(); }
  SourceIdentity identity() const override {
    const SourceIdentity own = source_->identity();
    return {own.names + rule(), own.contents};
  }
  int64_t held_bytes() const override { return source_->held_bytes(); }

 private:
  std::string rule() const {
    return concat("+", labels_.label_offset, " ignoring ", labels_.ignore_index);
  }

  std::shared_ptr<const DataSource> source_;
  MaskLabels labels_;
  int64_t num_classes_;
};

std::string percent_text(int64_t part, int64_t whole) {
  const auto of = static_cast<double>(std::max<int64_t>(1, whole));
  return formatted("%.2f %%", 100.0 * static_cast<double>(part) / of);
}

/// "1, 2, 3, …"
std::string some_of(const std::vector<int64_t>& values) {
  constexpr size_t kMostNamed = 8;
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::min(values.size(), kMostNamed); ++i)
    texts.push_back(std::to_string(values[i]));
  return join(texts, ", ") + (values.size() > kMostNamed ? ", …" : "");
}

std::string class_text(int64_t index, const std::vector<std::string>& names) {
  if (index == kNoClass) return "no class";
  const bool is_named = index < std::ssize(names);
  return is_named ? concat(index, " ", names[static_cast<size_t>(index)]) : std::to_string(index);
}

/// The values whose classes are there, and those beyond them.
struct Sorted {
  std::vector<int64_t> known, beyond;
};
Sorted sorted_values(const MaskCensus& census, const MaskLabels& labels, int64_t num_classes) {
  Sorted sorted;
  for (const auto& [value, count] : census.values) {
    const int64_t index = labels.class_of(value);
    if (index == kNoClass) continue;
    (num_classes > 0 && index >= num_classes ? sorted.beyond : sorted.known).push_back(value);
  }
  return sorted;
}

}  // namespace

void MaskLabels::fields(FieldVisitor& v) {
  v.field("ignore_index", ignore_index, "masks: the value of pixels that have no class");
  v.field("label_offset", label_offset,
          "masks: added to all other values to make classes of them; -1 for sets whose 0 is no "
          "class (ADE20K)");
}

int64_t MaskLabels::class_of(int64_t value) const {
  if (value == ignore_index) return kNoClass;
  return std::max<int64_t>(kNoClass, value + label_offset);
}

at::Tensor MaskLabels::classes(const at::Tensor& values, int64_t num_classes,
                               const std::string& id) const {
  const at::Tensor from = values.contiguous();
  at::Tensor result = at::empty_like(from);
  const auto* value = from.const_data_ptr<int32_t>();
  auto* index = result.mutable_data_ptr<int32_t>();
  const int64_t bound = num_classes > 0 ? num_classes : INT32_MAX;
  for (int64_t i = 0; i < from.numel(); ++i) {
    const int64_t of = class_of(value[i]);
    if (of >= bound)
      throw DataError(
          "the mask of ", id, " has the value ", value[i],
          label_offset != 0 ? concat(", class ", of, " with label_offset=", label_offset) : "",
          "; there are ", num_classes, " classes, 0 to ", num_classes - 1, ", and ", ignore_index,
          " is ignored (label_offset, ignore_index)");
    index[i] = static_cast<int32_t>(of);
  }
  return result;
}

std::shared_ptr<const DataSource> with_mask_classes(std::shared_ptr<const DataSource> source,
                                                    const MaskLabels& labels, int64_t num_classes) {
  return std::make_shared<MaskClasses>(std::move(source), labels, num_classes);
}

int64_t MaskCensus::num_classes(const MaskLabels& labels) const {
  int64_t largest = kNoClass;
  for (const auto& [value, count] : values) largest = std::max(largest, labels.class_of(value));
  return largest + 1;
}

MaskCensus census_of_masks(const DataSource& source, int64_t most_masks, const Watch& watch) {
  MaskCensus census;
  const int64_t total = source.size(), count = std::min(total, most_masks);
  for (int64_t i = 0; i < count; ++i) {
    if (watch.should_stop()) throw Stopped("stopped while masks were counted");
    const int64_t index = i * total / count;
    try {
      const at::Tensor values = decoded_values(source.read(index), source.id(index)).contiguous();
      std::map<int64_t, int64_t> of_mask;
      const auto* value = values.const_data_ptr<int32_t>();
      for (int64_t p = 0, run = 0; p < values.numel(); p += run) {
        for (run = 1; p + run < values.numel() && value[p + run] == value[p];) ++run;
        of_mask[value[p]] += run;
      }
      for (const auto& [of, pixels] : of_mask) {
        census.values[of].pixels += pixels;
        ++census.values[of].masks;
      }
      ++census.num_masks;
      census.num_pixels += values.numel();
    } catch (const DataError& error) {
      census.bad.push_back({source.id(index), error.what(), index});
    }
    watch.on_progress(i + 1, count);
  }
  if (census.num_masks == 0)
    throw DataError("no mask could be read",
                    census.bad.empty() ? "" : "; the last: " + census.bad.back().reason);
  return census;
}

std::string census_text(const MaskCensus& census, const MaskLabels& labels,
                        const std::vector<std::string>& names) {
  constexpr size_t kMostLines = 24;
  std::vector<std::pair<int64_t, MaskCensus::Count>> rows(census.values.begin(),
                                                          census.values.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.second.pixels > b.second.pixels; });
  using enum TextTable::Align;
  TextTable table({kRight, kLeft, kRight, kRight});
  table.add({"value", "class", "pixels", concat("in masks (of ", census.num_masks, ")")});
  for (size_t i = 0; i < std::min(rows.size(), kMostLines); ++i)
    table.add({std::to_string(rows[i].first), class_text(labels.class_of(rows[i].first), names),
               percent_text(rows[i].second.pixels, census.num_pixels),
               std::to_string(rows[i].second.masks)});
  if (rows.size() > kMostLines) table.add({"…", concat(rows.size() - kMostLines, " more values")});
  std::string text = table.text();
  for (const std::string& warning : census_warnings(census, labels, names))
    text += "look: " + warning + "\n";
  return text;
}

std::vector<std::string> census_warnings(const MaskCensus& census, const MaskLabels& labels,
                                         const std::vector<std::string>& names) {
  std::vector<std::string> warnings;
  const auto num_classes = std::ssize(names);
  const Sorted sorted = sorted_values(census, labels, num_classes);
  const bool has_zero = census.values.count(0) != 0;
  // Blended edges have many values of which each covers next to nothing.
  constexpr size_t kManyValues = 64;
  int64_t rare = 0;
  for (const auto& [value, count] : census.values) rare += count.pixels * 1000 < census.num_pixels;
  if (census.values.size() > kManyValues && rare * 10 > std::ssize(census.values) * 8)
    warnings.push_back(concat(census.values.size(), " values, ", rare,
                              " of them in less than 0.1 % of the pixels each: are edges blended "
                              "(anti-aliased, or saved with loss)? masks need the number of one "
                              "class a pixel"));
  if (!sorted.beyond.empty())
    warnings.push_back(
        concat("values beyond the ", num_classes, " classes: ", some_of(sorted.beyond)));
  if (labels.label_offset == 0 && num_classes > 0 && sorted.beyond.size() == 1 &&
      sorted.beyond.front() == num_classes)
    warnings.push_back(
        has_zero ? concat("values 0 to ", num_classes, " for ", num_classes,
                          " classes: off by one? label_offset=-1 where 0 is no class")
                 : concat("values 1 to ", num_classes, " and no 0: off by one? label_offset=-1"));
  if (labels.label_offset < 0 && num_classes > 0 && sorted.beyond.empty() && has_zero &&
      !sorted.known.empty() && labels.class_of(sorted.known.back()) == num_classes - 2)
    warnings.push_back(concat("the last class, ", names.back(),
                              ", never occurs while the value 0 is "
                              "no class: off by one? label_offset=0 where 0 is a class"));
  if (sorted.known.empty())
    warnings.emplace_back("no pixel has a class");
  else if (sorted.known.size() == 1)
    warnings.push_back(
        concat("a single class, ", class_text(labels.class_of(sorted.known.front()), names)));
  std::vector<std::string> unseen;
  for (int64_t i = 0; i < num_classes; ++i)
    if (std::none_of(sorted.known.begin(), sorted.known.end(),
                     [&](int64_t value) { return labels.class_of(value) == i; }))
      unseen.push_back(class_text(i, names));
  if (!unseen.empty() && std::ssize(unseen) < num_classes)
    warnings.push_back(concat("classes that no mask looked at has: ", join(unseen, ", ")));
  if (!census.bad.empty())
    warnings.push_back(
        concat(census.bad.size(), " masks cannot be read, the first: ", census.bad.front().reason));
  return warnings;
}

}  // namespace vit22b
