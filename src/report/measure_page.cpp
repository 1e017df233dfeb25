#include "report/measure_page.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "report/dot_plot.h"
#include "report/page.h"
#include "report/result_section.h"
#include "report/svg.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

/// A file's JSON, and what it is called.
struct Measured {
  std::string name;
  Json json;
};

const Json& member(const Json& json, const std::string& key) {
  static const Json kNone;
  if (!json.is_object()) return kNone;
  const auto it = json.find(key);
  return it == json.end() ? kNone : *it;
}

double number(const Json& json) {
  return json.is_number() ? json.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::string text(const Json& json) {
  return json.is_string() ? json.get<std::string>() : json.dump();
}

/// Values by row and series, in the order in which they come.
class Dots {
 public:
  void add(const std::string& series, const std::string& row, double value) {
    if (std::isnan(value)) return;
    values_[{place(series, series_), place(row, rows_)}] = value;
  }
  /// "" where there is nothing.
  std::string plot(const std::string& title, const std::string& x_name) const {
    if (rows_.empty()) return "";
    std::vector<DotSeries> all;
    for (size_t i = 0; i < series_.size(); ++i) {
      DotSeries one{series_[i], std::vector<double>(rows_.size(), number(nullptr))};
      for (size_t row = 0; row < rows_.size(); ++row)
        if (const auto it = values_.find({i, row}); it != values_.end())
          one.values[row] = it->second;
      all.push_back(std::move(one));
    }
    return dot_plot(title, rows_, all, x_name);
  }

 private:
  static size_t place(const std::string& name, std::vector<std::string>& names) {
    const auto it = std::find(names.begin(), names.end(), name);
    if (it != names.end()) return static_cast<size_t>(it - names.begin());
    names.push_back(name);
    return names.size() - 1;
  }
  std::vector<std::string> series_, rows_;
  std::map<std::pair<size_t, size_t>, double> values_;
};

/// Of records: a row by one field, a value by another; the series is a field's, or the file's name.
std::string dots_of_records(const std::vector<Measured>& files, const std::string& table,
                            const std::vector<std::string>& fields, const std::string& title) {
  Dots dots;
  for (const Measured& file : files)
    for (const Json& record : member(file.json, table))
      dots.add(fields.size() > 2 ? text(member(record, fields[2])) : file.name,
               text(member(record, fields[0])), number(member(record, fields[1])));
  return dots.plot(title, fields[1]);
}

/// Of an object of objects: a row each, a value by a field.
std::string dots_of_members(const std::vector<Measured>& files, const std::string& object,
                            const std::string& field, const std::string& title) {
  Dots dots;
  for (const Measured& file : files) {
    const Json& rows = object.empty() ? file.json : member(file.json, object);
    if (!rows.is_object()) continue;
    for (const auto& [name, row] : rows.items())
      dots.add(file.name, name, number(member(row, field)));
  }
  return dots.plot(title, field);
}

/// A line for each file: one field of its records by another.
std::string lines_of_records(const std::vector<Measured>& files, const std::string& table,
                             const std::string& x, const std::string& y, const std::string& title) {
  std::vector<Series> series;
  std::vector<std::string> names;
  for (const Measured& file : files) {
    std::map<double, std::pair<double, int64_t>> sums;  // of equal places the mean
    for (const Json& record : member(file.json, table)) {
      const double place = number(member(record, x)), value = number(member(record, y));
      if (!std::isfinite(place) || !std::isfinite(value)) continue;
      sums[place].first += value;
      ++sums[place].second;
    }
    if (sums.empty()) continue;
    Series& own = series.emplace_back();
    for (const auto& [place, sum] : sums) {
      own.steps.push_back(place);
      own.values.push_back(sum.first / static_cast<double>(sum.second));
    }
    names.push_back(file.name);
  }
  if (series.empty()) return "";
  std::vector<Curve> curves;
  for (size_t i = 0; i < series.size(); ++i) curves.push_back({names[i], &series[i]});
  return line_plot(title, curves, y, x);
}

std::string reliability_of(const Measured& file) {
  std::vector<EvalResult::Bin> bins;
  std::vector<Band> bands;
  for (const Json& bin : member(file.json, "reliability")) {
    const double count = number(member(bin, "count")), accuracy = number(member(bin, "accuracy")),
                 confidence = number(member(bin, "confidence")), low = number(member(bin, "low")),
                 high = number(member(bin, "high"));
    const bool is_empty = !std::isfinite(accuracy) || !std::isfinite(count);
    bins.push_back({is_empty ? 0 : std::llround(count), is_empty ? 0 : accuracy,
                    std::isfinite(confidence) ? confidence : 0});
    bands.push_back({low, high});
  }
  if (bins.empty()) return "";
  return reliability_plot(bins, bands, file.name + ": accuracy by confidence");
}

/// Of each experiment with several conditions the accuracies under them.
std::string conditions_of(const std::vector<Measured>& files) {
  std::map<std::string, Dots> sets;
  std::map<std::string, std::map<std::string, int>> conditions;
  for (const Measured& file : files)
    for (const Json& record : member(file.json, "by_condition")) {
      const std::string set = text(member(record, "set")),
                        condition = text(member(record, "condition"));
      ++conditions[set][condition];
      sets[set].add(text(member(record, "observer")), condition,
                    number(member(record, "accuracy")));
    }
  std::string out;
  for (const auto& [set, dots] : sets)
    if (conditions[set].size() > 1) out += dots.plot(set + ": accuracy by condition", "accuracy");
  return out;
}

/// Rows of all words and numbers, "sets.a.accuracy", but of lists and of where they are from; an
/// interval is one row.
void add_facts(const std::string& name, const Json& value, std::string& rows) {
  constexpr size_t kLongest = 200;
  const bool is_interval = value.is_array() && value.size() == 2 && value[0].is_number();
  if (value.is_object()) {
    for (const auto& [key, part] : value.items())
      if (key != "provenance") add_facts(name.empty() ? key : concat(name, ".", key), part, rows);
    return;
  }
  if (value.is_array() && !is_interval) return;
  const std::string shown =
      value.is_number()   ? short_number(value.get<double>())
      : value.is_string() ? shortened(value.get<std::string>(), kLongest)
      : is_interval ? concat(short_number(number(value[0])), " to ", short_number(number(value[1])))
      : value.is_null() ? "undefined"
                        : value.dump();
  rows += concat("<tr><td class=\"key\">", escape_html(shortened(name, kLongest)), "</td><td>",
                 escape_html(shown), "</td></tr>");
}

std::string facts_of(const Json& json) {
  std::string rows;
  if (json.is_object()) add_facts("", json, rows);
  return rows.empty() ? "" : "<h3>Facts</h3><table>" + rows + "</table>";
}

std::string plots_of(const std::vector<Measured>& files) {
  std::vector<Measured> without_observers;  // whose sets are no experiments
  for (const Measured& file : files)
    if (member(file.json, "observers").is_null()) without_observers.push_back(file);
  std::string out;
  for (const Measured& file : files) out += reliability_of(file);
  out += lines_of_records(files, "coverage_accuracy", "coverage", "accuracy",
                          "Accuracy of the surest answers");
  out += dots_of_members(files, "", "auroc", "Telling strange samples from known ones");
  out += dots_of_members(files, "by_corruption", "accuracy", "Accuracy by corruption");
  out += lines_of_records(files, "by_severity", "severity", "accuracy",
                          "Accuracy by severity, mean over corruptions");
  out += dots_of_members(without_observers, "sets", "accuracy", "Accuracy by set");
  out += dots_of_members(files, "sets", "score", "2AFC by set");
  out += dots_of_records(files, "groups", {"group", "accuracy"}, "Accuracy by group");
  out += lines_of_records(files, "rto", "tolerance", "accuracy",
                          "Accuracy at each tolerance of parity");
  out += dots_of_records(files, "shape_bias_by_category", {"category", "shape_bias", "observer"},
                         "Shape bias by category");
  out += dots_of_records(files, "observers", {"set", "accuracy", "observer"},
                         "Accuracy by experiment");
  out += dots_of_records(files, "observers", {"set", "kappa", "observer"},
                         "Error consistency with people");
  out += conditions_of(files);
  return out.empty() ? "" : "<div class=\"plots\">" + out + "</div>";
}

}  // namespace

std::string measures_html(const std::vector<fs::path>& files) {
  std::vector<Measured> measured;
  std::string sections;
  for (const fs::path& file : files) {
    const bool is_alone = std::none_of(files.begin(), files.end(), [&](const fs::path& other) {
      return other != file && other.stem() == file.stem();
    });
    measured.push_back({is_alone ? file.stem().string() : file.string(), read_result_json(file)});
    EvalResult result = result_of(measured.back().json, file);  // says what is wrong with it
    const std::string facts = facts_of(measured.back().json);
    if (facts.empty()) throw DataError(file.string(), " is no result of eval or its measures");
    result.name = measured.back().name;
    result.numbers.clear();  // they are among the facts
    sections += result_section(result) + facts + "\n";
  }
  return html_page("Measures", "<h1>Measures</h1>\n" + plots_of(measured) + "\n" + sections);
}

}  // namespace vit22b
