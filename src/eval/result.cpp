#include "eval/result.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/json.h"
#include "core/printable.h"
#include "core/text.h"
#include "core/text_table.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

Json cell_json(const Cell& cell) {
  if (const auto* number = std::get_if<double>(&cell)) return number_or_null<Json>(*number);
  return std::visit([](const auto& value) { return Json(value); }, cell);
}

Json row_json(const ResultTable& table, const std::vector<Cell>& row) {
  if (table.form == ResultTable::Form::kList) return cell_json(row.front());
  Json json = table.form == ResultTable::Form::kMatrix ? Json::array() : Json::object();
  for (size_t i = 0; i < row.size(); ++i) {
    if (table.form == ResultTable::Form::kMatrix)
      json.push_back(cell_json(row[i]));
    else
      json[table.columns.at(i)] = cell_json(row[i]);
  }
  return json;
}

/// The place of a name with dots.
Json& place_of(Json& json, const std::string& name) {
  Json* place = &json;
  for (const std::string& part : split(name, '.')) place = &(*place)[part];
  return *place;
}

void add_cells(Json& json, const NamedCells& cells) {
  for (const auto& [name, value] : cells) place_of(json, name) = cell_json(value);
}

void add_numbers(Json& json, const std::vector<ResultNumber>& numbers) {
  for (const ResultNumber& number : numbers) {
    const std::string& name = number.metric.name;
    place_of(json, name) =
        number.is_count ? Json(std::llround(number.value)) : number_or_null<Json>(number.value);
    if (number.interval)
      place_of(json, number.interval_name.empty() ? name + "_interval" : number.interval_name) = {
          number_or_null<Json>(number.interval->low), number_or_null<Json>(number.interval->high)};
  }
}

void add_table(Json& json, const ResultTable& table) {
  Json& place = place_of(json, table.name) = Json::array();
  for (const std::vector<Cell>& row : table.rows) place.push_back(row_json(table, row));
}

Json examples_json(const std::vector<metrics::Example>& examples) {
  Json json = Json::array();
  for (const metrics::Example& e : examples)
    json.push_back({{"sample", e.sample},
                    {"id", e.id},
                    {"label", e.label},
                    {"prediction", e.prediction},
                    {"probability", e.probability}});
  return json;
}

Json as_json(const Result& result) {
  Json json = Json::object();
  add_cells(json, result.settings);
  add_numbers(json, result.numbers);
  if (result.is_of_samples) {
    json["provenance"] = provenance_json(result.provenance);
    json["bad_samples"] = Json::array();
    for (const BadSample& sample : result.bad_samples)
      json["bad_samples"].push_back({{"id", sample.id}, {"reason", sample.reason}});
  }
  for (const ResultTable& table : result.tables) add_table(json, table);
  if (result.is_of_samples) json["examples"] = examples_json(result.examples);
  if (!result.chosen.empty()) add_cells(json["chosen"], result.chosen);
  for (const Result& fold : result.folds) json["folds"].push_back(as_json(fold));
  add_numbers(json, result.over_folds);
  return json;
}

std::string labelled_text(const ResultNumber& number) {
  return number.label + (number.is_percent ? formatted(" %.2f %%", 100 * number.value)
                                           : formatted(" %.4f", number.value));
}

std::string numbers_text(const Result& result) {
  std::vector<std::string> numbers;
  std::string count;
  for (const ResultNumber& number : result.numbers) {
    if (number.is_count) count = concat(std::llround(number.value), " ", number.metric.unit);
    if (!number.label.empty()) numbers.push_back(labelled_text(number));
  }
  if (!result.bad_samples.empty()) count += concat(", ", result.bad_samples.size(), " left out");
  return concat(join(numbers, "   "), "   (", count, ")\n");
}

std::string matrix_text(const ResultTable& table) {
  std::vector<TextTable::Align> columns(table.rows.size() + 1, TextTable::Align::kRight);
  TextTable rows(std::move(columns));
  for (size_t i = 0; i < table.rows.size(); ++i) {
    std::vector<std::string> cells = {shown_name(table.row_names.at(i))};
    for (const Cell& count : table.rows[i]) cells.push_back(concat(std::get<int64_t>(count)));
    rows.add(std::move(cells));
  }
  return table.title + "\n" + rows.text();
}

std::string cell_text(const Cell& cell) {
  if (const auto* word = std::get_if<std::string>(&cell)) return shown_name(*word);
  if (const auto* count = std::get_if<int64_t>(&cell)) return std::to_string(*count);
  if (const auto* truth = std::get_if<bool>(&cell)) return *truth ? "yes" : "no";
  const double value = std::get<double>(cell);
  return std::isnan(value) ? "-" : formatted("%.4f", value);
}

std::string records_text(const ResultTable& table) {
  std::vector<TextTable::Align> columns(table.columns.size(), TextTable::Align::kRight);
  columns.front() = TextTable::Align::kLeft;
  TextTable rows(std::move(columns));
  rows.add(table.columns);
  for (const std::vector<Cell>& row : table.rows) {
    std::vector<std::string> cells(row.size());
    std::transform(row.begin(), row.end(), cells.begin(), cell_text);
    rows.add(std::move(cells));
  }
  return table.title + "\n" + rows.text();
}

}  // namespace

double Result::number(const std::string& name) const {
  for (const ResultNumber& number : numbers)
    if (number.metric.name == name) return number.value;
  throw InternalError(evaluator + " has no number " + name);
}

std::string result_json(const Result& result) {
  return as_json(result).dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string result_text(const Result& result) {
  constexpr size_t kLargestMatrix = 20;
  std::string text = result.lines.empty() ? numbers_text(result) : result.lines;
  for (const ResultTable& table : result.tables)
    if (table.form == ResultTable::Form::kRecords && !table.title.empty())
      text += records_text(table);
    else if (!table.title.empty() && table.rows.size() <= kLargestMatrix)
      text += matrix_text(table);
  if (result.chosen.empty()) return text;
  Json chosen;
  add_cells(chosen, result.chosen);
  return text + "chosen: " + chosen.dump() + "\n";
}

}  // namespace vit22b
