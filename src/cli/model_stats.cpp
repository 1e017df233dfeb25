#include "cli/model_stats.h"

#include <CLI/CLI.hpp>

#include "checkpoint/text_side.h"
#include "cli/checkpoint_flags.h"
#include "cli/measured_model.h"
#include "cli/stats_report.h"
#include "cli/tower_flags.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"

namespace vit22b {
namespace {

struct StatsFlags {
  const CLI::App* command = nullptr;
  CommonFlags common;
  TowerFlags tower;
  std::string images;
  // What cannot be read is told and left out.
  LoaderFlags loader{.batch = 8, .max_bad_fraction = 1};
};

ActivationStatistics of_images(const StatsFlags& flags, const Device& device) {
  const std::shared_ptr<const DataSource> source = open_pictures(flags.images);
  LoadedModel model = load_predictor(flags.tower.place(), predictor_options(flags.common, device));
  ActivationStatistics found = activation_statistics(
      model, *source,
      eval_options(flags.loader, flags.common.is_quiet, "pictures", source->size()));
  for (const BadSample& bad : found.bad_samples) log_warn(left_out_text(bad));
  return found;
}

void run_model_stats(const StatsFlags& flags) {
  const Device device = begin_command(flags.common);
  Statistics found{.checkpoint = flags.tower.place(), .weights = {}, .activations = {}};
  CheckpointPath place = resolve_checkpoint(found.checkpoint);
  ViTConfig config = read_model_info(place).config;
  if (flags.tower.is_text()) {
    if (!flags.images.empty()) throw UsageError("--images: the text tower sees none");
    const TextSide text = read_text_side(place);
    place = text.place, config = text.config;
  }
  if (!flags.images.empty())
    found.activations = of_images(flags, device);
  else
    refuse_options(*flags.command,
                   {"--batch", "--workers", "--max-bad-fraction", "--max-pixels", "--device",
                    "--precision", "--engine", "--store"},
                   "goes with --images");
  const std::vector<ParameterRow> table = parameter_table(config);
  found.weights = weight_statistics(
      TensorReader(place, table), table,
      watch_with_progress("parameters", std::ssize(table), flags.common.is_quiet));
  const std::string json = statistics_json(found);
  print_and_store(flags.common.is_json ? json : statistics_text(found), [&] {
    FileOps ops;
    if (!flags.common.out.empty()) write_text(ops, flags.common.out, json);
  });
}

}  // namespace

void add_model_stats(CLI::App& group) {
  auto flags = std::make_shared<StatsFlags>();
  CLI::App* stats = group.add_subcommand(
      "stats", "how each block's weights, tokens and attention are spread: outliers, dead heads");
  flags->command = stats;
  add_tower_flags(*stats, flags->tower);
  stats->add_option("--images", flags->images,
                    "SRC or folder of pictures: also what the blocks make of them, tokens' norms, "
                    "artefacts, attention's entropy");
  add_loader_flags(*stats, flags->loader);
  add_common_flags(*stats, flags->common, kDevice | kPrecision | kStore | kOut | kJson,
                   "also write the JSON result here");
  stats->callback([flags] { run_model_stats(*flags); });
}

}  // namespace vit22b
