#include <algorithm>
#include <cctype>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "data/delimited.h"
#include "measure/fairness.h"

namespace vit22b {
namespace {

constexpr size_t kLargestTable = size_t{1} << 30;  // bytes

/// A table's rows by the names of its columns.
class NamedRows {
 public:
  NamedRows(std::string_view text, char separator, std::string place)
      : place_(std::move(place)), reader_(text, separator, place_) {
    const auto header = reader_.next();
    if (!header) throw DataError(place_, " is empty");
    for (const std::string& name : *header) {
      if (has(trim(name))) throw DataError(place_, " has two columns '", trim(name), "'");
      names_.push_back(trim(name));
    }
  }

  bool has(const std::string& column) const {
    return std::find(names_.begin(), names_.end(), column) != names_.end();
  }
  void want(const std::string& column, const char* option) const {
    if (!has(column))
      throw DataError(place_, " has no column '", column, "'", did_you_mean(column, names_),
                      "; it has ", join(names_, ", "), "; say which with ", option);
  }
  bool next() {
    row_ = reader_.next();
    if (row_ && row_->size() != names_.size())
      throw DataError(where(), ": ", row_->size(), " fields, want ", names_.size());
    return row_.has_value();
  }
  std::string value(const std::string& column) const {
    const auto it = std::find(names_.begin(), names_.end(), column);
    return trim(row_->at(static_cast<size_t>(it - names_.begin())));
  }
  std::string where() const { return concat(place_, ":", reader_.line()); }

 private:
  std::string place_;
  DelimitedReader reader_;
  std::vector<std::string> names_;
  std::optional<std::vector<std::string>> row_;
};

bool truth_of(const NamedRows& rows, const std::string& column) {
  std::string text = rows.value(column);
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  static const std::map<std::string, bool> kWords = {
      {"1", true},      {"0", false},  {"-1", false}, {"true", true},
      {"false", false}, {"yes", true}, {"no", false}};
  const auto it = kWords.find(text);
  if (it == kWords.end())
    throw DataError(rows.where(), ": ", column, " is '", rows.value(column),
                    "', want 0 or 1, -1 or 1, true or false, yes or no; leave rows without out");
  return it->second;
}

double score_of(const NamedRows& rows, const std::string& column) {
  const std::string text = rows.value(column);
  const auto number = leading_number(text);
  if (!number || !number->second.empty() || !(number->first >= 0 && number->first <= 1))
    throw DataError(rows.where(), ": ", column, " is '", text,
                    "', want the chance of the positive class, 0 to 1");
  return number->first;
}

}  // namespace

FairnessTable read_fairness_table(const std::filesystem::path& file,
                                  const FairnessColumns& columns) {
  const std::string text = read_text(file, ExitCode::kData, kLargestTable);
  NamedRows rows(without_byte_order_mark(text), file.extension() == ".tsv" ? '\t' : ',',
                 file.string());
  rows.want(columns.label, "--label");
  rows.want(columns.group, "--group");
  if (columns.is_prediction_named) rows.want(columns.prediction, "--prediction");
  if (columns.is_score_named) rows.want(columns.score, "--score");
  const bool has_scores = rows.has(columns.score), has_predictions = rows.has(columns.prediction);
  if (!has_scores && !has_predictions) rows.want(columns.prediction, "--prediction or --score");
  FairnessTable table{.place = file.string()};
  table.decisions_from = has_predictions ? columns.prediction : columns.score + " >= 0.5";
  std::vector<std::string> groups;
  while (rows.next()) {
    table.labels.push_back(truth_of(rows, columns.label));
    if (has_scores) table.scores.push_back(score_of(rows, columns.score));
    table.predictions.push_back(has_predictions ? truth_of(rows, columns.prediction)
                                                : table.scores.back() >= 0.5);
    groups.push_back(rows.value(columns.group));
    if (groups.back().empty()) throw DataError(rows.where(), ": ", columns.group, " is empty");
  }
  table.group_names = groups;
  std::sort(table.group_names.begin(), table.group_names.end());
  table.group_names.erase(std::unique(table.group_names.begin(), table.group_names.end()),
                          table.group_names.end());
  for (const std::string& group : groups)
    table.groups.push_back(
        std::lower_bound(table.group_names.begin(), table.group_names.end(), group) -
        table.group_names.begin());
  return table;
}

}  // namespace vit22b
