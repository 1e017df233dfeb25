#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "report/comparison.h"
#include "report/html.h"
#include "report/measure_page.h"

namespace vit22b {
namespace {

struct ReportFlags {
  std::vector<std::string> runs;
  std::string out;
  bool is_csv = false;
};

/// Runs in folders of one name are told apart by their paths.
std::vector<RunData> read_runs(const std::vector<std::string>& folders) {
  std::vector<RunData> runs;
  for (const std::string& folder : folders) {
    runs.push_back(read_run(folder));
    for (size_t i = 0; i + 1 < runs.size(); ++i)
      if (runs[i].name == runs.back().name) runs.back().name = folder;
  }
  return runs;
}

/// Whether the arguments are results' files instead of runs.
///
/// throws  UsageError for both
bool are_results(const std::vector<std::string>& words) {
  const auto is_file = [](const std::string& word) { return word.ends_with(".json"); };
  const auto count = std::count_if(words.begin(), words.end(), is_file);
  if (count != 0 && count != std::ssize(words))
    throw UsageError("give run folders, or results' files (.json), not both");
  return count != 0;
}

void report_results(const ReportFlags& flags) {
  if (flags.is_csv) throw UsageError("--csv is of run folders");
  if (flags.out.empty()) throw UsageError("results: give the page's name, --out report.html");
  FileOps ops;
  write_text(ops, flags.out, measures_html({flags.runs.begin(), flags.runs.end()}));
  print_out("report: " + flags.out + "\n");
}

void run_report(const ReportFlags& flags) {
  if (are_results(flags.runs)) return report_results(flags);
  const std::vector<RunData> runs = read_runs(flags.runs);
  FileOps ops;
  if (flags.is_csv) {
    const std::string csv = metrics_csv(runs);
    flags.out.empty() ? print_out(csv) : write_text(ops, flags.out, csv);
    return;
  }
  if (flags.out.empty() && runs.size() > 1)
    throw UsageError("several runs: give the page's name, --out report.html");
  const std::filesystem::path path = flags.out.empty()
                                         ? std::filesystem::path(flags.runs[0]) / "report.html"
                                         : std::filesystem::path(flags.out);
  write_text(ops, path, runs.size() == 1 ? report_html(runs[0]) : comparison_html(runs));
  print_out("report: " + path.string() + "\n");
}

}  // namespace

void add_report(CLI::App& app) {
  auto flags = std::make_shared<ReportFlags>();
  CLI::App* command = app.add_subcommand(
      "report",
      "one offline HTML page of a run, of several beside each other, or of results of eval");
  command->add_option("runs", flags->runs, "run folders, or JSON results of eval and its measures")
      ->required();
  command->add_option("--out,-o", flags->out, "page to write (of one run RUN/report.html)");
  command->add_flag("--csv", flags->is_csv,
                    "the metrics as a table instead, on standard output or in --out");
  command->callback([flags] { run_report(*flags); });
}

}  // namespace vit22b
