#include "cli/eval_measures.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/measured_model.h"
#include "cli/result_output.h"
#include "core/error.h"
#include "core/log.h"
#include "data/splits.h"
#include "measure/ood.h"
#include "measure/registry.h"
#include "measure/temperature.h"

namespace vit22b {
namespace {

bool is_of_file(const MeasureFlags& flags) {
  return !flags.logits.empty();
}

/// Predictions, and where a temperature is to be fitted, others for that.
struct MeasuredSets {
  PredictedSet test;
  std::optional<Predictions> fit;
};

// A part drawn by the seed is for fitting, the rest for the test.
void draw_fit(const MeasureFlags& flags, MeasuredSets& sets) {
  const auto part = percent(flags.fit_part);
  if (!part) throw UsageError("--fit-part ", flags.fit_part, ": want a share such as 20%");
  const Predictions all = sets.test.predictions;
  const HoldOut drawn = hold_out(all.size(), *part, static_cast<uint64_t>(flags.common.seed));
  if (drawn.kept.size(0) == 0 || drawn.held_out.size(0) == 0)
    throw UsageError("--fit-part ", flags.fit_part, " of ", all.size(),
                     " samples leaves none on one side");
  sets.fit = part_of(all, drawn.held_out);
  sets.test.predictions = part_of(all, drawn.kept);
}

EvaluatorOptions evaluator_options(const MeasureFlags& flags, const Predictions& predictions) {
  EvaluatorOptions options{.loss = "softmax", .class_names = predictions.class_names};
  if (!flags.loss.empty())
    options.loss = flags.loss;
  else if (const auto config = is_of_file(flags) ? std::nullopt : run_config(flags.checkpoint))
    options.loss = config->loss;
  return options;
}

using Measure =
    std::function<Result(const MeasuredSets&, const EvaluatorOptions&, const EvalOptions&)>;

// What is fitted to the samples that are tested says nothing of them.
void check_other_file(const std::string& fitted, const std::string& tested) {
  std::error_code error;
  if (std::filesystem::equivalent(fitted, tested, error))
    throw UsageError(fitted, " is what is tested, the same samples; give another file");
}

// Of labelled predictions, whoever made them.
void run_labelled(const MeasureFlags& flags, const Measure& measure) {
  check_of_model_or_logits(*flags.command, flags.checkpoint, flags.logits);
  if (!flags.fit.empty() && !flags.fit_part.empty())
    throw UsageError("--fit and --fit-part are two ways to fit; give one");
  const Device device = begin_command(flags.common);
  std::unique_ptr<MeasuredModel> model;
  MeasuredSets sets;
  if (is_of_file(flags)) {
    sets.test.predictions = read_predictions(flags.logits, flags.data.class_map);
    if (!flags.fit.empty()) {
      check_other_file(flags.fit, flags.logits);
      sets.fit = read_predictions(flags.fit, flags.data.class_map);
    }
  } else {
    model = std::make_unique<MeasuredModel>(flags, device);
    sets.test = model->labelled("", false);
    if (!flags.fit.empty()) sets.fit = model->labelled(flags.fit, false).predictions;
  }
  if (!flags.fit_part.empty()) draw_fit(flags, sets);
  if (sets.fit && sets.fit->num_classes != sets.test.predictions.num_classes)
    throw DataError(sets.fit->place, " has logits of ", sets.fit->num_classes, " classes, ",
                    sets.test.predictions.place, " of ", sets.test.predictions.num_classes);
  Result result = measure(sets, evaluator_options(flags, sets.test.predictions),
                          eval_options(flags, "eval", sets.test.predictions.size()));
  if (model != nullptr)
    model->describe(result);
  else
    result.settings.insert(result.settings.begin(), {"logits", flags.logits});
  result.provenance.command = "vit22b " + join(command_words(), " ");
  tell_result(flags.common, result);
}

void run_calibration(const MeasureFlags& flags) {
  run_labelled(flags, [](const MeasuredSets& sets, const EvaluatorOptions& evaluator,
                         const EvalOptions& options) {
    return calibration_of(sets.test.predictions, sets.fit ? &*sets.fit : nullptr, evaluator,
                          options);
  });
}

void run_selective(const MeasureFlags& flags) {
  run_labelled(flags, [](const MeasuredSets& sets, const EvaluatorOptions& evaluator,
                         const EvalOptions& options) {
    Evaluators evaluators;
    evaluators.push_back(make_evaluator("selective", evaluator));
    return std::move(evaluate(sets.test.predictions, options, evaluators).front());
  });
}

void run_ood(const MeasureFlags& flags) {
  check_of_model_or_logits(*flags.command, flags.checkpoint, flags.logits);
  if (is_of_file(flags) != !flags.ood_logits.empty() || is_of_file(flags) != flags.ood_data.empty())
    throw UsageError(is_of_file(flags)
                         ? "--logits goes with --ood-logits FILE of the strange samples"
                         : "a checkpoint goes with --ood-data SRC of strange samples");
  const Device device = begin_command(flags.common);
  const bool has_fit = !flags.known.empty();
  OodSamples in, out;
  OodFit fit{{}, flags.num_neighbors};
  std::unique_ptr<MeasuredModel> model;
  PredictedSet known_set;
  if (is_of_file(flags)) {
    in.predictions = read_unlabelled_predictions(flags.logits);
    out.predictions = read_unlabelled_predictions(flags.ood_logits);
    if (has_fit) {
      check_other_file(flags.known, flags.logits);
      in.features_ND = read_features(flags.logits).features_ND;
      out.features_ND = read_features(flags.ood_logits).features_ND;
      fit.known = read_features(flags.known);
    }
  } else {
    model = std::make_unique<MeasuredModel>(flags, device);
    known_set = model->labelled("", has_fit);
    in = {known_set.predictions, known_set.pooled_ND};
    if (has_fit) {
      const PredictedSet of_fit = model->labelled(flags.known, true);
      fit.known = {of_fit.pooled_ND, of_fit.predictions.labels_N, {}, flags.known};
    }
    const PredictedSet strange = model->unlabelled(flags.ood_data, has_fit);
    out = {strange.predictions, strange.pooled_ND};
  }
  Result result = measure_ood(in, out, has_fit ? &fit : nullptr);
  if (model != nullptr) model->describe(result);
  if (!has_fit) log_info("scores of features are left out; --known gives samples to fit them to");
  result.provenance.command = "vit22b " + join(command_words(), " ");
  tell_result(flags.common, result);
}

/// Adds what all three take.
CLI::App* add_measure(CLI::App& eval, const std::string& name, const std::string& what,
                      const std::shared_ptr<MeasureFlags>& flags) {
  CLI::App* command = eval.add_subcommand(name, what);
  add_model_flags(*command, *flags);
  add_logits_flag(*command, *flags);
  add_common_flags(*command, flags->common, kDevice | kPrecision | kStore | kSeed | kOut | kJson,
                   "also write the JSON result here");
  return command;
}

void add_loss_flag(CLI::App& command, std::string& loss) {
  command
      .add_option("--loss", loss,
                  "what the head was trained with, sigmoid or softmax, as the result says it; "
                  "probabilities are softmax's in either case")
      ->check(CLI::IsMember({"sigmoid", "softmax"}));
}

}  // namespace

void add_eval_measures(CLI::App& eval) {
  auto calibration = std::make_shared<MeasureFlags>();
  CLI::App* command =
      add_measure(eval, "calibration",
                  "calibration errors, their floor, NLL, Brier score, temperature", calibration);
  add_loss_flag(*command, calibration->loss);
  command->add_option("--fit", calibration->fit,
                      "fit a temperature to these: a split, a SRC, or with --logits a file");
  command->add_option("--fit-part", calibration->fit_part,
                      "fit a temperature to so much of the samples, such as 20%, drawn by --seed, "
                      "and measure the others");
  command->callback([calibration] { run_calibration(*calibration); });

  auto selective = std::make_shared<MeasureFlags>();
  command = add_measure(eval, "selective", "accuracy of the surest answers, risk over coverage",
                        selective);
  add_loss_flag(*command, selective->loss);
  command->callback([selective] { run_selective(*selective); });

  auto ood = std::make_shared<MeasureFlags>();
  command = add_measure(eval, "ood", "how well scores tell strange samples from known ones", ood);
  command->add_option("--ood-data", ood->ood_data,
                      "strange samples: a SRC, or a folder of pictures; labels do not count");
  command->add_option("--ood-logits", ood->ood_logits, "with --logits: the strange samples' file");
  command->add_option(
      "--known", ood->known,
      "samples of the known kind for Mahalanobis and neighbours: a split, a SRC, or "
      "with --logits a file with `features` (else `pooled`) and `labels`");
  command->add_option("--k", ood->num_neighbors, "which neighbour's distance counts")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
  command->callback([ood] { run_ood(*ood); });
}

}  // namespace vit22b
