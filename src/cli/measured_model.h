#pragma once
#include <string>

#include "cli/checkpoint_flags.h"
#include "cli/command.h"
#include "cli/eval_data.h"
#include "eval/predict_all.h"
#include "measure/robustness.h"

namespace vit22b {

/// What the measures of predictions are asked.
struct MeasureFlags {
  const CLI::App* command = nullptr;  ///< which options were given
  CommonFlags common;
  std::string checkpoint, logits, loss, labels;
  EvalDataFlags data;
  LoaderFlags loader{.batch = 256};
  PixelChanges pixels;
  std::string fit, fit_part;                ///< of calibration
  std::string known, ood_data, ood_logits;  ///< of ood
  int64_t num_neighbors = 50;
};

/// How they go through samples; `what` is told on the way.
EvalOptions eval_options(const MeasureFlags& flags, const std::string& what, int64_t count);

/// A model, and what it says of data sets.
class MeasuredModel {
 public:
  MeasuredModel(const MeasureFlags& flags, const Device& device);

  /// Labelled samples, in the model's classes.
  ///
  /// word  a split's name or a SRC; "" for those that --data and --split name
  PredictedSet labelled(const std::string& word, bool wants_pooled);
  /// Samples of other kinds.
  ///
  /// word  a SRC, or a folder with pictures in it
  PredictedSet unlabelled(const std::string& word, bool wants_pooled);

  const NamedModel& named() const { return model_; }

  /// On corrupted samples of those that --data and --split name.
  Robustness robustness(RobustnessRequest request);

  /// Says in a result what it is of: the samples that --data and --split name.
  void describe(Result& result) const;

 private:
  EvalData open(const std::string& word);

  const MeasureFlags& flags_;
  const LoadedModel model_;
  const Transforms transforms_;
  NamedCells settings_;
  Provenance provenance_;
};

}  // namespace vit22b
