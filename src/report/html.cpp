#include "report/html.h"

#include <algorithm>

#include "core/text.h"
#include "report/svg.h"

namespace vit22b {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --line: #ddd; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --paper: #1b1b1d; --line: #3a3a3d; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 980px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid var(--line); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 14px; }
svg { width: 100%; max-width: 500px; height: auto; font-size: 11px; break-inside: avoid; }
svg text { fill: var(--ink); } svg .title { font-size: 13px; font-weight: 600; }
svg .grid { stroke: var(--line); } svg .diagonal { stroke: var(--ink); stroke-dasharray: 4 3; }
table { border-collapse: collapse; } td, th { padding: 2px 8px; text-align: right; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
td.key, th.key { text-align: left; } .settings td { text-align: left; font-family: ui-monospace, monospace; font-size: 12px; }
.confusion td, .confusion th { padding: 3px 6px; font-size: 12px; }
.big { font-size: 1.6em; font-weight: 600; }
)";

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
       {std::pair("attention_max_logit", "Largest attention logit by block"),
        std::pair("attention_entropy", "Attention entropy by block (nats)")}) {
    const auto it = run.by_block.find(key);
    if (it == run.by_block.end() || it->second.empty()) continue;
    // At most six lines can be told apart: blocks spread evenly over the depth.
    constexpr size_t kMaxLines = 6;
    std::vector<Curve> curves;
    const size_t blocks = it->second.size(), lines = std::min(blocks, kMaxLines);
    curves.reserve(lines);
    for (size_t i = 0; i < lines; ++i) {
      const size_t block = lines == 1 ? 0 : i * (blocks - 1) / (lines - 1);
      curves.push_back({concat("block ", block), &it->second[block]});
    }
    out += line_plot(title, curves, "");
  }
  return out.empty() ? "<p>No metrics yet.</p>" : "<div class=\"plots\">" + out + "</div>";
}

std::string cell_colour(int64_t count, int64_t row_total, bool is_diagonal) {
  const double share =
      row_total > 0 ? static_cast<double>(count) / static_cast<double>(row_total) : 0;
  return concat("background:rgba(", is_diagonal ? "68,119,170" : "238,102,119", ",",
                short_number(std::min(1.0, is_diagonal ? 0.6 * share : 3 * share)), ")");
}

std::string confusion_table(const EvalResult& result) {
  constexpr size_t kLargest = 30;
  if (result.confusion.empty() || result.confusion.size() > kLargest) return "";
  const auto name = [&](size_t i) {
    return escape_html(i < result.label_names.size() ? result.label_names[i] : std::to_string(i));
  };
  std::string out =
      "<h3>Confusion</h3><table class=\"confusion\"><tr><th class=\"key\">truth \\ prediction</th>";
  for (size_t i = 0; i < result.confusion.size(); ++i) out += "<th>" + name(i) + "</th>";
  out += "</tr>";
  for (size_t i = 0; i < result.confusion.size(); ++i) {
    int64_t total = 0;
    for (const int64_t count : result.confusion[i]) total += count;
    out += "<tr><th class=\"key\">" + name(i) + "</th>";
    for (size_t j = 0; j < result.confusion[i].size(); ++j)
      out += concat("<td style=\"", cell_colour(result.confusion[i][j], total, i == j), "\">",
                    result.confusion[i][j], "</td>");
    out += "</tr>";
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
  out += "</table>" + confusion_table(result);
  if (!result.calibration.empty())
    out += "<div class=\"plots\">" + reliability_plot(result.calibration) + "</div>";
  return out;
}

}  // namespace

std::string report_html(const RunData& run) {
  std::string out = concat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\">",
      "<title>", escape_html(run.name), "</title><style>", kStyle,
      "</style></head><body>\n<h1>Run ", escape_html(run.name), "</h1>\n");
  for (const EvalResult& result : run.results) out += result_section(result) + "\n";
  out += "<h2>Curves</h2>\n" + curve_plots(run) + "\n<h2>Settings</h2>\n<table class=\"settings\">";
  for (const auto& [key, value] : run.settings)
    out += "<tr><td>" + escape_html(key) + "</td><td>" + escape_html(value) + "</td></tr>\n";
  return out + "</table>\n</body></html>\n";
}

}  // namespace vit22b
