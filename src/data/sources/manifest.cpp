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
#include "data/class_names.h"
#include "data/delimited.h"
#include "data/file_identity.h"
#include "data/sources/image_folder.h"
#include "data/sources/picture_walk.h"
#include "data/splits.h"

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

/// A manifest's text and table.
struct OpenTable {
  std::string text;
  Table table;
};

OpenTable open_table(const fs::path& path) {
  std::string text = read_text(path, ExitCode::kData);
  const std::string head = text.substr(0, text.find('\n'));
  const bool has_tabs = ending_of(path) == ".tsv" || head.find('\t') != std::string::npos;
  Table table = read_table(text, has_tabs ? '\t' : ',', path.string());
  return {std::move(text), std::move(table)};
}

std::vector<std::string> splits_in(const Table& table) {
  std::set<std::string> splits;
  for (const Row& row : table.rows)
    if (!row.split.empty()) splits.insert(row.split);
  return {splits.begin(), splits.end()};
}

/// The number that a text writes in the usual way: "7", neither "07" nor "7.0".
std::optional<int64_t> as_integer(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || std::to_string(value) != text)
    return std::nullopt;
  return value;
}

/// The classes of all rows.
class Classes {
 public:
  Classes(const Table& table, const std::string& place) {
    std::set<std::string> names;
    for (const Row& row : table.rows)
      if (!row.label.empty() && names.insert(row.label).second)
        check_class_name(row.label, concat(place, ":", row.line));
    are_numbers_ = !names.empty() && std::all_of(names.begin(), names.end(), as_integer);
    if (are_numbers_)
      names_ = numbered_names(number_of_classes(names, place));
    else
      names_ = {names.begin(), names.end()};
  }

  const std::vector<std::string>& names() const { return names_; }

  /// Nothing for a text that is no class.
  std::optional<int64_t> label(const std::string& text) const {
    if (are_numbers_) return as_integer(text);
    const auto it = std::lower_bound(names_.begin(), names_.end(), text);
    if (it == names_.end() || *it != text) return std::nullopt;
    return it - names_.begin();
  }

 private:
  static int64_t number_of_classes(const std::set<std::string>& numbers, const std::string& place) {
    constexpr int64_t kMaxClasses = 1'000'000;
    int64_t count = 0;
    for (const std::string& text : numbers) {
      const int64_t label = *as_integer(text);
      if (label < 0 || label >= kMaxClasses)
        throw DataError(place, ": the label ", text, " is no class number, want 0 to ",
                        kMaxClasses - 1, ", or names");
      count = std::max(count, label + 1);
    }
    return count;
  }

  std::vector<std::string> names_;
  bool are_numbers_ = false;
};

class ManifestSource : public DataSource {
 public:
  ManifestSource(const fs::path& path, const std::string& split)
      : ManifestSource(path, split, open_table(path)) {}

  int64_t size() const override { return static_cast<int64_t>(items_.size()); }

  Sample read(int64_t index) const override {
    const Item& item = items_.at(static_cast<size_t>(index));
    Sample sample;
    sample.id = id(index);
    sample.fields[kImageField].encoded = read_image_bytes(sample.id);
    sample.label = item.label;
    sample.captions = item.captions;
    return sample;
  }

  std::string id(int64_t index) const override {
    return (folder_ / items_.at(static_cast<size_t>(index)).name).string();
  }

  int64_t label(int64_t index) const override {
    return items_.at(static_cast<size_t>(index)).label;
  }
  std::vector<std::string> captions(int64_t index) const override {
    return items_.at(static_cast<size_t>(index)).captions;
  }
  const std::vector<std::string>& label_names() const override { return classes_.names(); }

  std::string fingerprint() const override {
    std::error_code error;
    const fs::path real = fs::canonical(folder_.empty() ? "." : folder_, error);
    std::vector<fs::path> paths;
    for (const Item& item : items_) paths.push_back((error ? folder_ : real) / item.name);
    return file_fingerprint(paths) + text_hash_ + split_;
  }

  // Rows of other splits may come and go.
  SourceIdentity identity() const override {
    std::vector<std::string> names, files;
    std::string rest = join(label_names(), "/");
    for (const Item& item : items_) {
      names.push_back(item.name);
      files.push_back((folder_ / item.name).string());
      rest += concat("\n", item.label, " ", join(item.captions, "\t"));
    }
    return identity_of_files(names, files, rest);
  }

 private:
  struct Item {
    std::string name;  // of the file, relative to the folder
    int64_t label = -1;
    std::vector<std::string> captions;
  };

  ManifestSource(const fs::path& path, const std::string& split, const OpenTable& open)
      : place_(path.string()),
        split_(split),
        folder_(path.parent_path()),
        text_hash_(hash_of_text(open.text)),
        classes_(open.table, place_) {
    const std::vector<std::string> splits =
        open.table.has_splits ? splits_in(open.table) : std::vector<std::string>{kWholeSplit};
    check_split(place_, split, splits);
    add_rows(open.table);
  }

  void add_rows(const Table& table) {
    std::map<std::string, size_t> index_of_path;
    int64_t num_empty = 0, num_of_no_split = 0;
    for (const Row& row : table.rows) {
      num_of_no_split += table.has_splits && row.split.empty();
      if (table.has_splits && row.split != split_) continue;
      if (!table.has_labels && row.caption.empty()) {
        ++num_empty;
        continue;
      }
      const auto [it, is_new] = index_of_path.emplace(row.path, items_.size());
      if (is_new) items_.push_back({row.path, label_of(table, row), {}});
      Item& item = items_[it->second];
      if (label_of(table, row) != item.label)
        throw DataError(place_, ":", row.line, ": ", row.path, " has another label above");
      if (!row.caption.empty()) item.captions.push_back(row.caption);
    }
    if (num_of_no_split > 0)
      log_warn(concat(place_, ": ", num_of_no_split, " rows are of no split and are left out"));
    if (num_empty > 0)
      log_warn(concat(place_, ": ", num_empty, " rows with an empty caption are left out"));
    if (items_.empty()) throw DataError(place_, " has no rows of the split '", split_, "'");
  }

  int64_t label_of(const Table& table, const Row& row) const {
    if (!table.has_labels) return -1;
    const auto label = classes_.label(row.label);
    if (!label) throw DataError(place_, ":", row.line, ": no label");
    return *label;
  }

  std::string place_, split_;
  fs::path folder_;
  std::string text_hash_;
  Classes classes_;
  std::vector<Item> items_;
};

}  // namespace

bool has_manifest_ending(const fs::path& path) {
  const std::string ending = ending_of(path);
  return ending == ".csv" || ending == ".tsv";
}

std::unique_ptr<DataSource> open_manifest(const fs::path& path, const std::string& split,
                                          const SourceOptions&) {
  return std::make_unique<ManifestSource>(path, split);
}

std::vector<std::string> manifest_splits(const fs::path& path, const SourceOptions&) {
  return splits_in(open_table(path).table);
}

}  // namespace vit22b
