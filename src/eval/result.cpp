#include "eval/result.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/json.h"
#include "core/printable.h"
#include "core/text.h"

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

void add_table(Json& json, const ResultTable& table) {
  Json* place = &json;
  for (const std::string& part : split(table.name, '.')) place = &(*place)[part];
  *place = Json::array();
  for (const std::vector<Cell>& row : table.rows) place->push_back(row_json(table, row));
}

std::string number_text(const ResultNumber& number) {
  char text[64];
  std::snprintf(text, sizeof text, number.is_percent ? " %.2f %%" : " %.4f",
                number.is_percent ? 100 * number.value : number.value);
  return number.label + text;
}

std::string matrix_text(const ResultTable& table) {
  std::string text = table.title + "\n";
  for (size_t i = 0; i < table.rows.size(); ++i) {
    char cell[64];
    std::snprintf(cell, sizeof cell, "%16.16s", shown_name(table.row_names.at(i)).c_str());
    text += cell;
    for (const Cell& count : table.rows[i]) {
      std::snprintf(cell, sizeof cell, " %6lld", static_cast<long long>(std::get<int64_t>(count)));
      text += cell;
    }
    text += "\n";
  }
  return text;
}

}  // namespace

double Result::number(const std::string& name) const {
  for (const ResultNumber& number : numbers)
    if (number.metric.name == name) return number.value;
  throw InternalError(evaluator + " has no number " + name);
}

std::string result_json(const Result& result) {
  Json json = Json::object();
  for (const auto& [name, value] : result.settings) json[name] = cell_json(value);
  for (const ResultNumber& number : result.numbers) {
    const std::string& name = number.metric.name;
    json[name] =
        number.is_count ? Json(std::llround(number.value)) : number_or_null<Json>(number.value);
    if (number.interval)
      json[name + "_interval"] = {number_or_null<Json>(number.interval->low),
                                  number_or_null<Json>(number.interval->high)};
  }
  json["provenance"] = provenance_json(result.provenance);
  json["bad_samples"] = Json::array();
  for (const BadSample& sample : result.bad_samples)
    json["bad_samples"].push_back({{"id", sample.id}, {"reason", sample.reason}});
  for (const ResultTable& table : result.tables) add_table(json, table);
  json["examples"] = Json::array();
  for (const metrics::Example& e : result.examples)
    json["examples"].push_back({{"sample", e.sample},
                                {"id", e.id},
                                {"label", e.label},
                                {"prediction", e.prediction},
                                {"probability", e.probability}});
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string result_text(const Result& result) {
  constexpr size_t kLargestMatrix = 20;
  std::vector<std::string> numbers;
  std::string count;
  for (const ResultNumber& number : result.numbers) {
    if (number.is_count) count = concat(std::llround(number.value), " ", number.metric.unit);
    if (!number.label.empty()) numbers.push_back(number_text(number));
  }
  if (!result.bad_samples.empty()) count += concat(", ", result.bad_samples.size(), " left out");
  std::string text = concat(join(numbers, "   "), "   (", count, ")\n");
  for (const ResultTable& table : result.tables)
    if (!table.title.empty() && table.rows.size() <= kLargestMatrix) text += matrix_text(table);
  return text;
}

}  // namespace vit22b
