#include "report/comparison.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "core/csv.h"
#include "core/text.h"
#include "report/page.h"
#include "report/svg.h"

namespace vit22b {
namespace {

std::string last_value(const RunData& run, const std::string& metric) {
  const auto it = run.series.find(metric);
  return it == run.series.end() || it->second.values.empty()
             ? ""
             : short_number(it->second.values.back());
}

std::string best_value(const RunData& run, const std::string& metric) {
  const auto it = run.series.find(metric);
  if (it == run.series.end() || it->second.values.empty()) return "";
  return short_number(*std::max_element(it->second.values.begin(), it->second.values.end()));
}

std::string last_step(const RunData& run) {
  double step = -1;
  for (const auto& [name, series] : run.series)
    if (!series.steps.empty()) step = std::max(step, series.steps.back());
  return step < 0 ? "" : short_number(step);
}

std::string test_accuracy(const RunData& run) {
  for (const EvalResult& result : run.results)
    for (const auto& [key, value] : result.numbers)
      if (key == "top1") return short_number(100 * value) + " %";
  return "";
}

/// before  HTML that stands before the first cell's text
std::string row_of(const std::vector<std::string>& cells, const char* tag,
                   const std::string& before = "") {
  std::string out = "<tr>";
  for (size_t i = 0; i < cells.size(); ++i)
    out += concat("<", tag, i == 0 ? " class=\"key\">" + before : ">", escape_html(cells[i]), "</",
                  tag, ">");
  return out + "</tr>\n";
}

/// A short line as a run's curves are drawn.
std::string line_sample(const CurveStyle& style) {
  const std::string dashes =
      style.dashes.empty() ? "" : " stroke-dasharray=\"" + style.dashes + "\"";
  return concat(
      "<svg class=\"sample\" viewBox=\"0 0 24 8\"><line x2=\"24\" y1=\"4\" y2=\"4\" "
      "stroke-width=\"2\" stroke=\"",
      style.colour, "\"", dashes, "/></svg> ");
}

std::string summary_table(const std::vector<RunData>& runs) {
  std::string out =
      "<table>" +
      row_of({"run", "step", "loss", "best val accuracy", "test top-1", "img/s", "seconds"}, "th");
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunData& run = runs[i];
    out += row_of({run.name, last_step(run), last_value(run, "training_loss"),
                   best_value(run, "val/accuracy"), test_accuracy(run),
                   last_value(run, "img_per_sec"), last_value(run, "train_seconds")},
                  "td", line_sample(curve_style(i)));
  }
  return out + "</table>\n";
}

/// Each run's value of a setting, "" where it has none.
std::vector<std::string> values_of(const std::vector<RunData>& runs, const std::string& key) {
  std::vector<std::string> values;
  for (const RunData& run : runs) {
    std::string& value = values.emplace_back();
    for (const auto& [own_key, own] : run.settings)
      if (own_key == key) value = own;
  }
  return values;
}

std::string differences_table(const std::vector<RunData>& runs) {
  std::set<std::string> keys;
  for (const RunData& run : runs)
    for (const auto& [key, value] : run.settings) keys.insert(key);
  std::string rows;
  for (const std::string& key : keys) {
    std::vector<std::string> cells = values_of(runs, key);
    if (std::all_of(cells.begin(), cells.end(), [&](const auto& v) { return v == cells[0]; }))
      continue;
    for (std::string& cell : cells) cell = shortened(cell, 60);
    cells.insert(cells.begin(), key);
    rows += row_of(cells, "td");
  }
  if (rows.empty()) return "<p>All settings are equal.</p>\n";
  std::vector<std::string> heads = {"setting"};
  for (const RunData& run : runs) heads.push_back(run.name);
  return "<div class=\"wide\"><table class=\"settings\">" + row_of(heads, "th") + rows +
         "</table></div>\n";
}

std::string plots(const std::vector<RunData>& runs) {
  const std::pair<const char*, const char*> shown[] = {{"training_loss", "Training loss"},
                                                       {"val/accuracy", "Validation accuracy"},
                                                       {"val/loss", "Validation loss"},
                                                       {"l2_grads", "Gradient norm"},
                                                       {"lr", "Learning rate"},
                                                       {"img_per_sec", "Images a second"},
                                                       {"mfu", "Model FLOP utilisation"},
                                                       {"data_share", "Share of waiting for data"}};
  std::string out;
  for (const auto& [name, title] : shown) {
    std::vector<Curve> curves;
    for (const RunData& run : runs)
      if (const auto it = run.series.find(name);
          it != run.series.end() && !it->second.steps.empty())
        curves.push_back({run.name, &it->second});
    if (!curves.empty()) out += line_plot(title, curves, "");
  }
  return out.empty() ? "<p>No metrics yet.</p>" : "<div class=\"plots\">" + out + "</div>";
}

std::string exact(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

}  // namespace

std::string comparison_html(const std::vector<RunData>& runs) {
  return html_page(concat(runs.size(), " runs"),
                   concat("<h1>", runs.size(), " runs</h1>\n", summary_table(runs),
                          "<h2>Where they differ</h2>\n", differences_table(runs),
                          "<h2>Curves</h2>\n", plots(runs), "\n"));
}

std::string metrics_csv(const std::vector<RunData>& runs) {
  std::set<std::string> names;
  for (const RunData& run : runs)
    for (const auto& [name, series] : run.series) names.insert(name);
  std::string out = "run,step";
  for (const std::string& name : names) out += "," + csv_field(name);
  out += "\n";
  for (const RunData& run : runs) {
    std::map<double, std::map<std::string, double>> rows;
    for (const auto& [name, series] : run.series)
      for (size_t i = 0; i < series.steps.size(); ++i)
        rows[series.steps[i]][name] = series.values[i];
    for (const auto& [step, values] : rows) {
      out += csv_field(run.name) + "," + exact(step);
      for (const std::string& name : names) {
        const auto it = values.find(name);
        out += it == values.end() ? "," : "," + exact(it->second);
      }
      out += "\n";
    }
  }
  return out;
}

}  // namespace vit22b
