#pragma once
#include <string>

#include "cli/checkpoint_flags.h"
#include "cli/command.h"
#include "cli/eval_data.h"
#include "eval/predict_all.h"
#include "measure/robustness.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class Option;
}

namespace vit22b {

/// What `eval` and its measures are asked.
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

/// Adds the positional checkpoint, which is returned, and what says how it sees which samples.
CLI::Option* add_model_flags(CLI::App& command, MeasureFlags& flags);
/// Adds --logits, in place of a checkpoint.
void add_logits_flag(CLI::App& command, MeasureFlags& flags);

/// How they go through samples; `what` is told on the way.
EvalOptions eval_options(const MeasureFlags& flags, const std::string& what, int64_t count);

/// A model, and what it says of data sets.
class MeasuredModel {
 public:
  MeasuredModel(const MeasureFlags& flags, const Device& device);

  /// Labelled samples, in the model's classes; those that --data and --split name come first.
  ///
  /// word    a split's name or a SRC, of other samples; "" for those that --data and --split name
  /// throws  UsageError for the same samples, or others in classes of their own
  PredictedSet labelled(const std::string& word, bool wants_pooled);
  /// Samples of other kinds.
  ///
  /// word  a SRC, or a folder of pictures
  PredictedSet unlabelled(const std::string& word, bool wants_pooled);

  const NamedModel& named() const { return model_; }

  /// On corrupted samples of those that --data and --split name.
  ///
  /// reference  what it will be compared with; null for nothing
  /// throws     as its check
  Robustness robustness(RobustnessRequest request, const RobustnessReference* reference);

  /// Says in a result what it is of: the samples that --data and --split name.
  void describe(Result& result) const;

 private:
  EvalData open(const std::string& word);
  void check_other(const EvalData& data, const std::string& word);
  PredictedSet kept(PredictedSet set);

  const MeasureFlags& flags_;
  const LoadedModel model_;
  const Transforms transforms_;
  std::vector<int64_t> classes_;  ///< that answers are taken from: the tested samples'
  NamedCells settings_;
  Provenance provenance_;
  std::vector<BadSample> bad_samples_;  ///< of all sets
};

}  // namespace vit22b
