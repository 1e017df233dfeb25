#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "measure/fairness.h"
#include "measure/named_rows.h"

namespace vit22b {
namespace {

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
    table.labels.push_back(truth_of(rows.value(columns.label), rows.where(), columns.label));
    if (has_scores) table.scores.push_back(score_of(rows, columns.score));
    table.predictions.push_back(
        has_predictions ? truth_of(rows.value(columns.prediction), rows.where(), columns.prediction)
                        : table.scores.back() >= 0.5);
    groups.push_back(rows.value(columns.group));
    if (groups.back().empty()) throw DataError(rows.where(), ": ", columns.group, " is empty");
  }
  NumberedGroups numbered = number_groups(groups);
  table.group_names = std::move(numbered.names), table.groups = std::move(numbered.numbers);
  return table;
}

}  // namespace vit22b
