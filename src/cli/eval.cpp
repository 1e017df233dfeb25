#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/checkpoint_flags.h"
#include "cli/eval_data.h"
#include "core/error.h"
#include "core/file.h"
#include "core/progress.h"
#include "core/signals.h"
#include "dist/launch.h"
#include "eval/classification.h"
#include "explain/examples.h"

namespace vit22b {
namespace {

struct EvalFlags {
  CommonFlags common;
  std::string checkpoint;
  EvalDataFlags data;
  LoaderFlags loader{.batch = 256};
  std::string loss, labels;
  PixelChanges pixels;
};

std::string result_text(const ClassificationResult& r, const std::vector<std::string>& names) {
  char head[256];
  std::snprintf(head, sizeof head,
                "top-1 %.2f %%   top-5 %.2f %%   loss %.4f   nll %.4f   ece %.4f   (%lld images",
                100 * r.top1, 100 * r.top5, r.loss, r.nll, r.ece,
                static_cast<long long>(r.num_examples));
  std::string text = head;
  if (!r.bad_samples.empty()) text += concat(", ", r.bad_samples.size(), " left out");
  text += ")\n";
  constexpr size_t kLargestTable = 20;
  if (r.confusion.size() > kLargestTable) return text;
  text += "confusion (rows: truth, columns: prediction)\n";
  for (size_t i = 0; i < r.confusion.size(); ++i) {
    char cell[64];
    std::snprintf(cell, sizeof cell, "%16.16s",
                  i < names.size() ? shown_name(names[i]).c_str() : std::to_string(i).c_str());
    text += cell;
    for (const int64_t count : r.confusion[i]) {
      std::snprintf(cell, sizeof cell, " %6lld", static_cast<long long>(count));
      text += cell;
    }
    text += "\n";
  }
  return text;
}

// What one rank, or the only process, does: its share of the samples.
void run_ranks(const EvalFlags& flags, const Device& device, const Mesh& mesh) {
  resolve_checkpoint(flags.checkpoint);
  const auto config = run_config(flags.checkpoint);
  const LoadedModel model = open_checkpoint({flags.checkpoint, flags.pixels, flags.labels},
                                            {device, flags.common.precision, flags.common.engine});
  const EvalData data = open_eval_data(flags.checkpoint, model, flags.data);
  mesh.do_once([&] { data.tell(); });
  Progress progress("eval", mesh.share(MeshAxis::kData, data.split.source->size()).count,
                    flags.common.is_quiet);
  const EvalOptions options{
      .loss = !flags.loss.empty() ? flags.loss : (config ? config->loss : "sigmoid"),
      .batch_size = flags.loader.batch,
      .mesh = &mesh,
      .num_workers = flags.loader.workers,
      .max_bad_fraction = flags.loader.max_bad_fraction,
      .classes = data.classes,
      .should_stop = [] { return stop_signal() != 0; },
      .on_progress = [&](int64_t done) { progress.update(done); }};
  const Transforms transforms(model.info.pp_eval);
  const ClassificationResult result =
      evaluate_classification(*model.predictor, *data.split.source, transforms, options);
  mesh.do_once([&] {
    const std::vector<std::string> names = data.answer_names();
    const std::string json = to_json_text(result, names, data.setting());
    FileOps ops;
    if (config) {
      const auto results = std::filesystem::path(flags.checkpoint) / "results";
      ops.make_folder(results);
      write_text(ops, results / ("eval-" + data.split.split + ".json"), json);
      save_examples(ops, results / ("eval-" + data.split.split), result.examples,
                    {*data.split.source, transforms, *model.predictor, model.info.config});
    }
    if (!flags.common.out.empty()) write_text(ops, flags.common.out, json);
    print_out(flags.common.is_json ? json : result_text(result, names));
  });
}

void run_eval(const EvalFlags& flags) {
  CommonFlags common = flags.common;
  common.device = device_of_rank(common.device);
  const Device device = begin_command(common);
  const Ranks ranks({.shape = {0, 1}, .device = device, .threads = common.threads});
  ranks.guard([&] { run_ranks(flags, device, ranks.mesh()); });
}

}  // namespace

void add_eval(CLI::App& app) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* command = app.add_subcommand(
      "eval", "classification accuracy, NLL, calibration error and confusion matrix");
  command->add_option("checkpoint", flags->checkpoint, "checkpoint or run folder")->required();
  add_pixel_flags(*command, flags->pixels);
  add_labels_flag(*command, flags->labels);
  add_eval_data_flags(*command, flags->data);
  add_loader_flags(*command, flags->loader, /*largest_batch=*/1'000'000);
  command->add_option("--loss", flags->loss, "sigmoid or softmax; the run's own by default")
      ->check(CLI::IsMember({"sigmoid", "softmax"}));
  add_common_flags(*command, flags->common, kDevice | kPrecision | kOut | kJson,
                   "also write the JSON result here");
  command->callback([flags] { run_eval(*flags); });
}

}  // namespace vit22b
