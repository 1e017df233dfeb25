#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "core/file.h"
#include "core/log.h"
#include "report/html.h"

namespace vit22b {

void add_report(CLI::App& app) {
  struct Flags {
    std::string run, out;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("report", "one offline HTML page of a run: settings, curves, results");
  command->add_option("run", flags->run, "run folder")->required();
  command->add_option("--out,-o", flags->out, "page to write (RUN/report.html)");
  command->callback([flags] {
    const std::filesystem::path path = flags->out.empty()
                                           ? std::filesystem::path(flags->run) / "report.html"
                                           : std::filesystem::path(flags->out);
    FileOps ops;
    write_text(ops, path, report_html(read_run(flags->run)));
    print_out("report: " + path.string() + "\n");
  });
}

}  // namespace vit22b
