#include "report/html.h"

#include <algorithm>

#include "core/text.h"
#include "report/page.h"
#include "report/svg.h"

namespace vit22b {
namespace {

struct PlotSpec {
  const char* title;
  const char* unit;
  std::vector<std::string> names;
};

std::string curve_plots(const RunData& run) {
  const PlotSpec specs[] = {
      {"Loss", "", {"training_loss", "val/loss"}},
      {"Validation accuracy", "", {"val/accuracy"}},
      {"Learning rate", "", {"lr"}},
      {"Gradient norm", "", {"l2_grads"}},
      {"Throughput", "img/s", {"img_per_sec"}},
      {"Model FLOP utilisation and waiting for data", "", {"mfu", "data_share"}}};
  std::string out;
  for (const PlotSpec& spec : specs) {
    std::vector<Curve> curves;
    for (const std::string& name : spec.names)
      if (const auto it = run.series.find(name);
          it != run.series.end() && !it->second.steps.empty())
        curves.push_back({name, &it->second});
    if (!curves.empty()) out += line_plot(spec.title, curves, spec.unit);
  }
  for (const auto& [key, title] :
       {std::pair("attention_max_logit", "Largest attention logit of each block"),
        std::pair("attention_entropy", "Attention entropy of each block (nats)")})
    if (const auto it = run.by_block.find(key); it != run.by_block.end() && !it->second.empty())
      out += heat_map(title, it->second, "block");
  return out.empty() ? "<p>No metrics yet.</p>" : "<div class=\"plots\">" + out + "</div>";
}

std::string cell_colour(int64_t count, int64_t row_total, bool is_diagonal) {
  const double share =
      row_total > 0 ? static_cast<double>(count) / static_cast<double>(row_total) : 0;
  return concat("background:rgba(", is_diagonal ? "68,119,170" : "238,102,119", ",",
                short_number(std::min(1.0, is_diagonal ? 0.6 * share : 3 * share)), ")");
}

std::string class_name(const EvalResult& result, size_t i) {
  return escape_html(i < result.label_names.size() ? result.label_names[i] : std::to_string(i));
}

std::string confusion_table(const EvalResult& result) {
  constexpr size_t kLargest = 30;
  if (result.confusion.empty() || result.confusion.size() > kLargest) return "";
  std::string out =
      "<h3>Confusion</h3><table class=\"confusion\"><tr><th class=\"key\">truth \\ prediction</th>";
  for (size_t i = 0; i < result.confusion.size(); ++i)
    out += "<th>" + class_name(result, i) + "</th>";
  out += "</tr>";
  for (size_t i = 0; i < result.confusion.size(); ++i) {
    int64_t total = 0;
    for (const int64_t count : result.confusion[i]) total += count;
    out += "<tr><th class=\"key\">" + class_name(result, i) + "</th>";
    for (size_t j = 0; j < result.confusion[i].size(); ++j)
      out += concat("<td style=\"", cell_colour(result.confusion[i][j], total, i == j), "\">",
                    result.confusion[i][j], "</td>");
    out += "</tr>";
  }
  return out + "</table>";
}

// The pairs that are taken for each other most, with how often.
std::string confused_pairs(const EvalResult& result) {
  constexpr size_t kShown = 8;
  std::vector<std::tuple<int64_t, size_t, size_t>> pairs;
  for (size_t i = 0; i < result.confusion.size(); ++i)
    for (size_t j = 0; j < result.confusion[i].size(); ++j)
      if (i != j && result.confusion[i][j] > 0) pairs.emplace_back(-result.confusion[i][j], i, j);
  if (pairs.empty()) return "";
  std::sort(pairs.begin(), pairs.end());
  pairs.resize(std::min(pairs.size(), kShown));
  std::string out =
      "<h3>Most confused</h3><table><tr><th class=\"key\">truth</th>"
      "<th class=\"key\">taken for</th><th>images</th><th>of the class</th></tr>";
  for (const auto& [minus_count, i, j] : pairs) {
    int64_t total = 0;
    for (const int64_t count : result.confusion[i]) total += count;
    out +=
        concat("<tr><td class=\"key\">", class_name(result, i), "</td><td class=\"key\">",
               class_name(result, j), "</td><td>", -minus_count, "</td><td>",
               short_number(-100.0 * static_cast<double>(minus_count) / static_cast<double>(total)),
               " %</td></tr>");
  }
  return out + "</table>";
}

std::string result_section(const EvalResult& result) {
  std::string out = "<h2>" + escape_html(result.name) + "</h2><table>";
  for (const auto& [key, value] : result.numbers) {
    const bool is_share = key == "top1" || key == "top5";
    out += concat("<tr><td class=\"key\">", escape_html(key), "</td><td",
                  key == "top1" ? " class=\"big\"" : "", ">",
                  is_share ? short_number(100 * value) + " %" : short_number(value), "</td></tr>");
  }
  out += "</table>" + confused_pairs(result) + confusion_table(result);
  if (!result.calibration.empty())
    out += "<div class=\"plots\">" + reliability_plot(result.calibration) + "</div>";
  return out;
}

}  // namespace

std::string report_html(const RunData& run) {
  std::string out = "<h1>Run " + escape_html(run.name) + "</h1>\n";
  for (const EvalResult& result : run.results) out += result_section(result) + "\n";
  out += "<h2>Curves</h2>\n" + curve_plots(run) + "\n<h2>Settings</h2>\n<table class=\"settings\">";
  for (const auto& [key, value] : run.settings)
    out += "<tr><td>" + escape_html(key) + "</td><td>" + escape_html(shortened(value, 300)) +
           "</td></tr>\n";
  return html_page(run.name, out + "</table>\n");
}

}  // namespace vit22b
