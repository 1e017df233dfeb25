#include <CLI/CLI.hpp>

#include "checkpoint/run_checkpoint.h"
#include "cli/checkpoint_flags.h"
#include "cli/eval_measures.h"
#include "cli/measured_model.h"
#include "cli/result_output.h"
#include "cli/split_choice.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "data/depth_values.h"
#include "measure/model_depth.h"
#include "train/tasks/depth.h"

namespace vit22b {
namespace {

struct DepthFlags {
  CLI::App* command = nullptr;
  CommonFlags common;
  CheckpointFlags checkpoint;
  SplitFlags split;
  LoaderFlags loader{.batch = 16};
  std::string predictions, truth, unit = "mm", predicted_unit = "mm";
  DepthProtocol protocol;
};

/// What a step of the truth's PNGs is: as said, or as the run's own were.
std::string unit_of(const DepthFlags& flags) {
  if (flags.command->count("--unit") > 0) return flags.unit;
  const std::optional<TrainConfig> run = run_config(flags.checkpoint.path);
  if (!run) return flags.unit;
  TrainConfig config = *run;
  return config.tasks.of<DepthConfig>().unit;
}

/// Files of somebody's.
void run_files(const DepthFlags& flags) {
  refuse_options(*flags.command, {"--data", "--split"},
                 "of a checkpoint; --predictions are there already");
  if (flags.predictions.empty() || flags.truth.empty())
    throw UsageError("give a checkpoint, or --predictions DIR and --truth DIR");
  begin_command(flags.common);
  const double truth_step = depth_step_m(flags.unit),
               predicted_step = depth_step_m(flags.predicted_unit);
  log_info(concat("a step of the truth's PNGs is ", truth_step, " m, of the predictions' ",
                  predicted_step, " m; .npy are ",
                  flags.protocol.align == "none" ? "metres" : "as they are"));
  Result result =
      measure_depths(flags.predictions, predicted_step, flags.truth, truth_step, flags.protocol,
                     watch_with_progress("eval", 0, flags.common.is_quiet));
  NamedCells settings = {{"predictions", flags.predictions},
                         {"truth", flags.truth},
                         {"unit", flags.unit},
                         {"predicted_unit", flags.predicted_unit}};
  settings.insert(settings.end(), result.settings.begin(), result.settings.end());
  result.settings = std::move(settings);
  result.provenance.command = "vit22b " + join(command_words(), " ");
  tell_result(flags.common, result);
}

void run_model(const DepthFlags& flags) {
  refuse_options(*flags.command, {"--predictions", "--truth", "--predicted-unit", "--inverse"},
                 "the checkpoint makes the predictions, and says of what");
  const Device device = begin_command(flags.common);
  resolve_checkpoint(flags.checkpoint.path);
  LoadedDepthPredictor loaded =
      load_depth_predictor(flags.checkpoint.path, predictor_options(flags.common, device));
  apply_checkpoint_flags(flags.checkpoint, loaded.model);
  const ChosenSplit split = choose_split(flags.checkpoint.path, flags.split);
  log_info(split.as_text());
  const std::string unit = unit_of(flags);
  const auto source = with_depth_metres(split.source, depth_step_m(unit));
  DepthProtocol protocol = flags.protocol;
  protocol.is_inverse = loaded.info.output.is_relative();
  if (protocol.is_inverse && protocol.align == "none")
    throw UsageError("this head says ", loaded.info.output.unit(),
                     "; its errors in metres are those of what is aligned to each picture's truth: "
                     "--align least_squares");
  if (flags.command->count("--min-depth") == 0) protocol.min_depth_m = loaded.info.output.min_depth;
  if (flags.command->count("--max-depth") == 0) protocol.max_depth_m = loaded.info.output.max_depth;
  Result result = measure_depth(
      *loaded.depth, *loaded.model.predictor, *source, Transforms(loaded.model.info.pp_eval),
      eval_options(flags.loader, flags.common.is_quiet, "eval", source->size()),
      DepthMeasure(protocol));
  result.settings.insert(result.settings.begin(), {"unit", unit});
  result.provenance = {loaded.model.checkpoint.path().string(),
                       saved_step(loaded.model.checkpoint.folder),
                       split.text,
                       split.split,
                       split.source->fingerprint(),
                       "vit22b " + join(command_words(), " ")};
  tell_result(flags.common, result, [&](const std::string& json) {
    if (run_config(flags.checkpoint.path) && split.is_own)
      keep_in_run(flags.checkpoint.path, "depth.json", json);
  });
}

}  // namespace

void add_eval_depth(CLI::App& eval) {
  auto flags = std::make_shared<DepthFlags>();
  CLI::App* command = eval.add_subcommand(
      "depth",
      "errors in metres, per picture and per pixel: of a head, or of anybody's depth maps");
  flags->command = command;
  command->add_option("checkpoint", flags->checkpoint.path,
                      "run folder or checkpoint with a head; or --predictions");
  command->add_option("--data", flags->split.data, source_help());
  add_split_flags(*command, flags->split);
  command->add_option("--predictions", flags->predictions,
                      "folder of depth maps: .npy in metres, or PNGs of 16 bits");
  command->add_option("--truth", flags->truth, "folder of depth maps of the same names; 0 is none");
  command
      ->add_option("--unit", flags->unit,
                   "of the truth's PNGs: mm, cm, m, or metres a step, as 1/256 (KITTI)")
      ->capture_default_str();
  command->add_option("--predicted-unit", flags->predicted_unit, "of the predictions' PNGs")
      ->capture_default_str();
  command
      ->add_option("--align", flags->protocol.align,
                   "of relative predictions, each picture's to its truth: median (a scale) or "
                   "least_squares (scale and shift)")
      ->capture_default_str()
      ->check(CLI::IsMember({"none", "median", "least_squares"}));
  command->add_flag("--inverse", flags->protocol.is_inverse,
                    "predictions are of 1 / depth, the larger the nearer; aligned as such");
  command
      ->add_option("--crop", flags->protocol.crop,
                   "part of the pictures that counts: " + std::string(depth_crops()))
      ->capture_default_str()
      ->check(CLI::IsMember(split(depth_crops(), '|')));
  command->add_option("--min-depth", flags->protocol.min_depth_m, "m; nearer truth does not count")
      ->capture_default_str();
  command->add_option("--max-depth", flags->protocol.max_depth_m,
                      "m; farther truth does not count; 0 for no bound");
  add_pixel_flags(*command, flags->checkpoint.pixels);
  add_loader_flags(*command, flags->loader);
  add_common_flags(*command, flags->common, kDevice | kPrecision | kStore | kOut | kJson,
                   "also write the JSON result here");
  command->callback(
      [flags] { flags->checkpoint.path.empty() ? run_files(*flags) : run_model(*flags); });
}

}  // namespace vit22b
