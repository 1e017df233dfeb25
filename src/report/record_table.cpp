#include "report/record_table.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/text.h"
#include "report/page.h"
#include "report/svg.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostRows = 50, kMostColumns = 50, kLongestText = 100;
/// What is shown in its own way, or not at all.
constexpr std::array kKnown = {"bad_samples", "calibration", "confusion", "examples", "provenance"};

bool is_record(const Json& json) {
  return json.is_object() && !json.empty() &&
         std::all_of(json.begin(), json.end(),
                     [](const Json& value) { return value.is_primitive(); });
}

bool is_record_table(const Json& json) {
  return json.is_array() && !json.empty() && std::all_of(json.begin(), json.end(), is_record);
}

RecordTable::Cell cell_of(const Json& record, const std::string& column) {
  const auto found = record.find(column);
  if (found == record.end() || found->is_null()) return {};
  if (found->is_string()) return {found->get<std::string>()};
  if (found->is_number_float()) return {short_number(found->get<double>()), true};
  return {found->dump(), found->is_number()};
}

void add_columns(const Json& record, std::vector<std::string>& columns) {
  for (const auto& [key, value] : record.items())
    if (columns.size() < kMostColumns &&
        std::find(columns.begin(), columns.end(), key) == columns.end())
      columns.push_back(key);
}

RecordTable read_table(const std::string& name, const Json& records) {
  RecordTable table{name, {}, {}, records.size()};
  const size_t shown = std::min(kMostRows, records.size());
  for (size_t i = 0; i < shown; ++i) add_columns(records[i], table.columns);
  for (size_t i = 0; i < shown; ++i) {
    std::vector<RecordTable::Cell>& row = table.rows.emplace_back();
    for (const std::string& column : table.columns) row.push_back(cell_of(records[i], column));
  }
  return table;
}

std::string html_cell(const char* tag, const std::string& text, bool is_number) {
  return concat("<", tag, is_number ? ">" : " class=\"key\">",
                escape_html(shortened(text, kLongestText)), "</", tag, ">");
}

}  // namespace

std::vector<RecordTable> read_record_tables(const Json& result) {
  std::vector<RecordTable> tables;
  for (const auto& [key, value] : result.items()) {
    if (std::find(kKnown.begin(), kKnown.end(), key) != kKnown.end()) continue;
    if (is_record_table(value)) tables.push_back(read_table(key, value));
    if (!value.is_object()) continue;
    for (const auto& [part, of_part] : value.items())
      if (is_record_table(of_part)) tables.push_back(read_table(concat(key, ".", part), of_part));
  }
  return tables;
}

std::string record_table(const RecordTable& table) {
  std::string out = concat("<h3>", escape_html(shortened(table.name, kLongestText)),
                           "</h3><div class=\"wide\"><table><tr>");
  for (size_t i = 0; i < table.columns.size(); ++i)
    out += html_cell("th", table.columns[i], table.rows.front()[i].is_number);
  out += "</tr>";
  for (const std::vector<RecordTable::Cell>& row : table.rows) {
    out += "<tr>";
    for (const RecordTable::Cell& cell : row) out += html_cell("td", cell.text, cell.is_number);
    out += "</tr>";
  }
  out += "</table></div>";
  if (table.num_rows > table.rows.size())
    out += concat("<p class=\"hint\">… ", table.num_rows - table.rows.size(), " more</p>");
  return out;
}

}  // namespace vit22b
