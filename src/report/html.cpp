#include "report/html.h"

#include "core/text.h"
#include "report/page.h"
#include "report/result_section.h"
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
