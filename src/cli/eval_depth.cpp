#include <CLI/CLI.hpp>

#include "cli/eval_measures.h"
#include "cli/result_output.h"
#include "core/error.h"
#include "core/log.h"
#include "core/text.h"
#include "measure/depth.h"
#include "measure/depth_files.h"

namespace vit22b {
namespace {

struct DepthFlags {
  CommonFlags common;
  std::string predictions, truth, unit = "mm", predicted_unit = "mm";
  DepthProtocol protocol;
};

void run_eval_depth(const DepthFlags& flags) {
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

}  // namespace

void add_eval_depth(CLI::App& eval) {
  auto flags = std::make_shared<DepthFlags>();
  CLI::App* command = eval.add_subcommand(
      "depth", "errors of anybody's depth maps, in metres, per picture and per pixel");
  command
      ->add_option("--predictions", flags->predictions,
                   "folder of depth maps: .npy in metres, or PNGs of 16 bits")
      ->required();
  command->add_option("--truth", flags->truth, "folder of depth maps of the same names; 0 is none")
      ->required();
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
  add_common_flags(*command, flags->common, kOut | kJson, "also write the JSON result here");
  command->callback([flags] { run_eval_depth(*flags); });
}

}  // namespace vit22b
