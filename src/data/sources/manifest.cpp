#include "data/sources/manifest.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "data/delimited.h"
#include "data/sources/image_folder.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

/// One row as the columns that matter; "" for a column that is absent.
struct Row {
  std::string path, caption, label, split;
  int64_t line = 0;
};

struct Table {
  std::vector<Row> rows;
  bool has_captions = false, has_labels = false, has_splits = false;
};

Table read_table(std::string_view text, char separator, const std::string& place) {
  DelimitedReader reader(text, separator, place);
  const auto header = reader.next();
  if (!header) throw DataError(place, " is empty; want a header with `filepath`");
  std::map<std::string, size_t> columns;
  for (size_t i = 0; i < header->size(); ++i)
    if (!columns.emplace(trim((*header)[i]), i).second)
      throw DataError(place, ":1: the column '", (*header)[i], "' is there twice");
  Table table{.has_captions = columns.count("caption") != 0,
              .has_labels = columns.count("label") != 0,
              .has_splits = columns.count("split") != 0};
  if (columns.count("filepath") == 0 || (!table.has_captions && !table.has_labels))
    throw DataError(place, ":1: the columns are ", join(*header, ", "),
                    "; want `filepath`, and `caption` or `label`");
  while (const auto fields = reader.next()) {
    if (fields->size() != header->size())
      throw DataError(place, ":", reader.line(), ": ", fields->size(), " fields, the header has ",
                      header->size(), "; put text with separators in quotes");
    const auto value = [&](const char* column) {
      const auto it = columns.find(column);
      return it == columns.end() ? std::string() : trim((*fields)[it->second]);
    };
    table.rows.push_back(
        {value("filepath"), value("caption"), value("label"), value("split"), reader.line()});
    if (table.rows.back().path.empty()) throw DataError(place, ":", reader.line(), ": no filepath");
  }
  return table;
}

std::optional<int64_t> as_integer(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The classes of all rows: integers by value, else in alphabetical order.
std::vector<std::string> class_names(const Table& table) {
  std::set<std::string> names;
  for (const Row& row : table.rows)
    if (!row.label.empty()) names.insert(row.label);
  std::vector<std::string> sorted(names.begin(), names.end());
  if (std::all_of(sorted.begin(), sorted.end(), [](const auto& n) { return as_integer(n); }))
    std::sort(sorted.begin(), sorted.end(),
              [](const auto& a, const auto& b) { return as_integer(a) < as_integer(b); });
  return sorted;
}

class ManifestSource : public DataSource {
 public:
  ManifestSource(const fs::path& path, const std::string& split) : place_(path.string()) {
    const std::string text = read_text(path, ExitCode::kData);
    const std::string head = text.substr(0, text.find('\n'));
    const bool has_tabs = path.extension() == ".tsv" || head.find('\t') != std::string::npos;
    const Table table = read_table(text, has_tabs ? '\t' : ',', place_);
    names_ = class_names(table);
    for (const std::string& name : names_)
      index_of_name_.emplace(name, static_cast<int64_t>(index_of_name_.size()));
    add_rows(table, split, path.parent_path());
    fingerprint_ = hash_of_text(text) + split;
  }

  int64_t size() const override { return static_cast<int64_t>(items_.size()); }

  Sample read(int64_t index) const override {
    const Item& item = items_.at(static_cast<size_t>(index));
    Sample sample;
    sample.encoded = read_image_bytes(item.path);
    sample.label = item.label;
    sample.captions = item.captions;
    sample.id = item.path.string();
    return sample;
  }

  std::vector<std::string> captions(int64_t index) const override {
    return items_.at(static_cast<size_t>(index)).captions;
  }
  const std::vector<std::string>& label_names() const override { return names_; }
  std::string fingerprint() const override { return fingerprint_; }

 private:
  struct Item {
    fs::path path;
    int64_t label = -1;
    std::vector<std::string> captions;
  };

  void add_rows(const Table& table, const std::string& split, const fs::path& folder) {
    std::map<std::string, size_t> index_of_path;
    std::set<std::string> other_splits;
    int64_t num_empty = 0;
    for (const Row& row : table.rows) {
      if (table.has_splits && row.split != split) {
        other_splits.insert(row.split);
        continue;
      }
      if (table.has_captions && row.caption.empty()) {
        ++num_empty;
        continue;
      }
      const auto [it, is_new] = index_of_path.emplace(row.path, items_.size());
      if (is_new) items_.push_back({folder / row.path, label_of(table, row), {}});
      Item& item = items_[it->second];
      if (label_of(table, row) != item.label)
        throw DataError(place_, ":", row.line, ": ", row.path, " has another label above");
      if (!row.caption.empty()) item.captions.push_back(row.caption);
    }
    if (num_empty > 0)
      log_warn(concat(place_, ": ", num_empty, " rows with an empty caption are left out"));
    if (items_.empty())
      throw DataError(place_, " has no rows of the split '", split, "'",
                      other_splits.empty() ? "" : "; its column `split` has ",
                      join({other_splits.begin(), other_splits.end()}, ", "));
  }

  int64_t label_of(const Table& table, const Row& row) const {
    if (!table.has_labels) return -1;
    const auto it = index_of_name_.find(row.label);
    if (it == index_of_name_.end()) throw DataError(place_, ":", row.line, ": no label");
    return it->second;
  }

  std::string place_;
  std::vector<Item> items_;
  std::vector<std::string> names_;
  std::map<std::string, int64_t> index_of_name_;
  std::string fingerprint_;
};

}  // namespace

bool has_manifest_ending(const fs::path& path) {
  return path.extension() == ".csv" || path.extension() == ".tsv";
}

std::unique_ptr<DataSource> open_manifest(const fs::path& path, const std::string& split) {
  return std::make_unique<ManifestSource>(path, split);
}

}  // namespace vit22b
