#include <CLI/CLI.hpp>
#include <optional>

#include "cli/checkpoint_flags.h"
#include "cli/command.h"
#include "cli/image_input.h"
#include "cli/prediction_lines.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "eval/finite.h"

namespace vit22b {
namespace {

struct PredictFlags {
  CommonFlags common;
  CheckpointFlags checkpoint;
  ImageFlags images;
  int64_t top = 5;
  bool is_sigmoid = false;
};

/// Where predictions go as they come: standard output, and a file where one is asked for.
class PredictionOutput {
 public:
  explicit PredictionOutput(const CommonFlags& flags)
      : is_json_(flags.is_json), is_table_(flags.out.ends_with(".csv")) {
    if (!flags.out.empty()) file_.emplace(ops_, flags.out);
    if (is_table_) file_->write(std::string_view(kPredictionColumns));
  }

  void add(const std::vector<Prediction>& predictions) {
    std::string shown, kept;
    for (const Prediction& said : predictions) {
      if (is_json_)
        shown += prediction_json(said);
      else if (said.error.empty())
        shown += prediction_text(shown_names(said));
      else
        log_warn(concat("left out: ", said.error));
      if (file_) kept += is_table_ ? prediction_csv(said) : prediction_json(said);
    }
    if (file_) file_->write(std::string_view(kept));
    print_out(shown);
  }

  /// After the last.
  void finish() {
    if (file_) file_->commit();
  }

 private:
  static Prediction shown_names(Prediction said) {
    said.path = shown_name(said.path);
    for (ScoredLabel& scored : said.labels) scored.label = shown_name(scored.label);
    return said;
  }

  bool is_json_, is_table_;
  FileOps ops_;
  std::optional<AtomicFile> file_;
};

/// What the model says of a batch's images, by their places in the source.
std::map<int64_t, Prediction> predictions_of(const PredictFlags& flags, const LoadedModel& model,
                                             const Batch& batch) {
  std::map<int64_t, Prediction> said;
  if (!batch.images_BCHW().defined()) return said;
  const at::Tensor logits_BC = model.predictor->logits(batch.images_BCHW()).cpu();
  check_finite(logits_BC, "logits", batch.ids);
  const auto [values, indices] =
      (flags.is_sigmoid ? at::sigmoid(logits_BC) : at::softmax(logits_BC, 1))
          .topk(std::min(flags.top, logits_BC.size(1)));
  for (int64_t i = 0; i < logits_BC.size(0); ++i) {
    Prediction of_image{batch.ids[static_cast<size_t>(i)], {}};
    for (int64_t k = 0; k < indices.size(1); ++k) {
      const auto index = indices[i][k].item<int64_t>();
      of_image.labels.push_back(
          {label_text(model.info, index), index, values[i][k].item<double>()});
    }
    said.emplace(batch.indices_B[i].item<int64_t>(), std::move(of_image));
  }
  return said;
}

// Told batch by batch, in the order of the list, which may be long; what cannot be read in its
// place.
void run_predict(const PredictFlags& flags) {
  const Device device = begin_command(flags.common);
  resolve_checkpoint(flags.checkpoint.path);
  const auto source = open_image_files(flags.images.images, flags.images.list);
  const LoadedModel model =
      open_checkpoint(flags.checkpoint, predictor_options(flags.common, device));
  const Transforms transforms(model.info.pp_eval);
  const LoaderOptions options = one_pass(flags.images.loader, *source);
  BatchLoader loader(*source, transforms, options);
  PredictionOutput output(flags.common);
  Progress progress("predict", source->size(), flags.common.is_quiet);
  int64_t num_good = 0, end = 0;
  for (Batch batch; loader.next(batch);) {
    if (stop_signal() != 0) throw Stopped("stopped after ", num_good, " images");
    std::map<int64_t, Prediction> said = predictions_of(flags, model, batch);
    num_good += static_cast<int64_t>(said.size());
    for (const BadSample& bad : loader.bad_samples())
      if (bad.index >= end && bad.index < end + options.batch_size)
        said.emplace(bad.index, Prediction{bad.id, {}, bad.reason});
    std::vector<Prediction> in_order;
    in_order.reserve(said.size());
    for (auto& [index, of_image] : said) in_order.push_back(std::move(of_image));
    output.add(in_order);
    end += options.batch_size;
    progress.update(std::min(end, source->size()));
  }
  output.finish();
  if (num_good == 0) throw DataError("none of ", source->size(), " images could be read");
}

}  // namespace

void add_predict(CLI::App& app) {
  auto flags = std::make_shared<PredictFlags>();
  CLI::App* command = app.add_subcommand("predict", "the most probable labels of image files");
  add_checkpoint_flags(*command, flags->checkpoint);
  add_labels_flag(*command, flags->checkpoint.labels);
  add_image_flags(*command, flags->images);
  command->add_option("--top", flags->top, "labels an image")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  command->add_flag("--sigmoid", flags->is_sigmoid,
                    "independent probabilities, for multi-label models");
  add_common_flags(
      *command, flags->common, kDevice | kPrecision | kStore | kOut | kJson,
      "also write them here: a table where it ends in .csv, else a JSON object a line");
  command->callback([flags] { run_predict(*flags); });
}

}  // namespace vit22b
