#include "fuzz/input.h"
#include "report/comparison.h"
#include "report/event_file.h"
#include "report/html.h"
#include "report/measure_page.h"
#include "report/run_reader.h"

// A run folder: config.resolved.toml, metrics.jsonl and one result; and the pages of them.
// readers: report/run_reader.cpp report/comparison.cpp report/event_file.cpp
// report/result_section.cpp report/svg.cpp report/measure_page.cpp report/dot_plot.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  return fuzz::read([&] {
    const auto [config, metrics, result] = fuzz::files_of<3>(fuzz::text_of(data, size));
    folder.write("config.resolved.toml", config);
    folder.write("metrics.jsonl", metrics);
    folder.write("results/eval-test.json", result);
    fuzz::read([&] { measures_html({folder.path() / "results/eval-test.json"}); });
    for (const std::string& line : split(metrics, '\n')) scalar_event(line, 0);
    const RunData run = read_run(folder.path());
    report_html(run);
    comparison_html({run, run});
    metrics_csv({run});
  });
}
