#include <CLI/CLI.hpp>

#include "checkpoint/run_checkpoint.h"
#include "cli/checkpoint_flags.h"
#include "cli/eval_data.h"
#include "cli/eval_measures.h"
#include "cli/head_command.h"
#include "cli/measured_model.h"
#include "cli/result_output.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "dist/launch.h"
#include "eval/evaluation.h"
#include "explain/examples.h"
#include "measure/registry.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

/// Whether an evaluation is the run's: of its own data and pixels, over all its classes.
bool is_runs_own(const MeasureFlags& flags, const EvalData& data) {
  return data.split.is_own && data.classes.empty() && !flags.pixels.is_any();
}

/// A word as part of a file's name.
std::string file_word(std::string word) {
  for (char& c : word)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_' && c != '.')
      c = '_';
  return word;
}

/// Keeps a run's result in its folder, for `report`; nothing where that cannot be written.
void keep_result(const std::string& run, const std::string& split, const std::string& json,
                 const std::vector<metrics::Example>& examples, const ExamplesOf& of) {
  const std::string name = "eval-" + file_word(split);
  if (!keep_in_run(run, name + ".json", json)) return;
  FileOps ops;
  save_examples(ops, fs::path(run) / "results" / name, examples, of);
}

// What one rank, or the only process, does: its share of the samples.
void run_ranks(const MeasureFlags& flags, const Device& device, const Mesh& mesh) {
  resolve_checkpoint(flags.checkpoint);
  const auto config = run_config(flags.checkpoint);
  const LoadedModel model = open_classifier(flags, device);
  const EvalData data = open_eval_data(flags.checkpoint, model, flags.data);
  Provenance provenance;  // of the rank that tells the result
  mesh.do_once([&] {
    data.tell();
    provenance = {model.checkpoint.path().string(),
                  saved_step(model.checkpoint.folder),
                  data.split.text,
                  data.split.split,
                  data.split.source->fingerprint(),
                  "vit22b " + join(command_words(), " ")};
  });
  const int64_t own = mesh.share(MeshAxis::kData, data.split.source->size()).count;
  EvalOptions options = eval_options(flags, "eval", own);
  options.mesh = &mesh;
  options.classes = data.classes;
  const Transforms transforms(model.info.pp_eval);
  const std::string loss =
      !flags.loss.empty() ? flags.loss : (config ? config->loss : EvaluatorOptions().loss);
  Evaluators evaluators;
  evaluators.push_back(
      make_evaluator("classification", {loss, data.answer_names(), flags.class_groups}));
  Result result =
      evaluate(*model.predictor, *data.split.source, transforms, options, evaluators).front();
  mesh.do_once([&] {
    result.settings = data.settings();
    result.provenance = provenance;
    tell_result(flags.common, result, [&](const std::string& json) {
      if (config && is_runs_own(flags, data))
        keep_result(flags.checkpoint, data.split.split, json, result.examples,
                    {*data.split.source, transforms, *model.predictor, model.info.config});
    });
  });
}

/// Of what somebody has predicted: logits and labels in a file, each rank its share.
void measure_file(const MeasureFlags& flags, const Mesh& mesh) {
  const Predictions predictions = read_predictions(flags.logits, flags.data.class_map);
  const std::vector<std::string> names = flags.labels.empty()
                                             ? predictions.class_names
                                             : read_labels(flags.labels, predictions.num_classes);
  Evaluators evaluators;
  evaluators.push_back(make_evaluator(
      "classification", {flags.loss.empty() ? "softmax" : flags.loss, names, flags.class_groups}));
  const int64_t own = mesh.share(MeshAxis::kData, predictions.size()).count;
  EvalOptions options = eval_options(flags, "eval", own);
  options.mesh = &mesh;
  Result result = evaluate(predictions, options, evaluators).front();
  result.settings = {{"logits", flags.logits}};
  result.provenance.command = "vit22b " + join(command_words(), " ");
  mesh.do_once([&] { tell_result(flags.common, result); });
}

void run_eval(const MeasureFlags& flags) {
  check_of_model_or_logits(*flags.command, flags.checkpoint, flags.logits);
  CommonFlags common = flags.common;
  common.device = device_of_rank(common.device);
  const Device device = begin_command(common);
  const Ranks ranks({.shape = {0, 1}, .device = device, .threads = common.threads});
  ranks.guard([&] {
    flags.logits.empty() ? run_ranks(flags, device, ranks.mesh())
                         : measure_file(flags, ranks.mesh());
  });
}

}  // namespace

void add_eval(CLI::App& app) {
  auto flags = std::make_shared<MeasureFlags>();
  CLI::App* command = app.add_subcommand(
      "eval", "classification accuracy, NLL, calibration error and confusion matrix");
  add_model_flags(*command, *flags);
  add_logits_flag(*command, *flags);
  command->add_option("--loss", flags->loss, "sigmoid or softmax; the run's own by default")
      ->check(CLI::IsMember({"sigmoid", "softmax"}));
  add_class_groups_flag(*command, flags->class_groups);
  add_common_flags(*command, flags->common, kDevice | kPrecision | kStore | kOut | kJson,
                   "also write the JSON result here");
  add_eval_measures(*command);
  add_eval_robustness(*command);
  add_eval_fairness(*command);
  add_eval_human(*command);
  add_eval_perceptual(*command);
  add_eval_segmentation(*command);
  add_eval_depth(*command);
  command->callback([flags] {
    if (flags->command->get_subcommands().empty()) run_eval(*flags);
  });
}

}  // namespace vit22b
