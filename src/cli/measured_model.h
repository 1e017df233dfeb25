#pragma once
#include <memory>
#include <optional>
#include <string>

#include "cli/checkpoint_flags.h"
#include "cli/class_texts.h"
#include "cli/command.h"
#include "cli/eval_data.h"
#include "eval/predict_all.h"
#include "measure/robustness.h"
#include "measure/variants.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class Option;
}

namespace vit22b {

/// What `eval` and its measures are asked.
struct MeasureFlags {
  const CLI::App* command = nullptr;  ///< which options were given
  CommonFlags common;
  std::string checkpoint, logits, loss, labels;
  ClassTextFlags texts;      ///< of a two-tower checkpoint
  std::string tokenizer;     ///< of those
  std::string class_groups;  ///< of eval, as class_groups has them
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

/// The checkpoint as the flags change it; with --classes as a classifier of what is told by name.
///
/// throws  as open_checkpoint, TextTower and classify_by_names
LoadedModel open_classifier(const MeasureFlags& flags, const Device& device);

/// Pictures whose labels do not count: a SRC, or a folder of pictures.
///
/// throws  as choose_split and open_image_files
std::shared_ptr<const DataSource> open_pictures(const std::string& word,
                                                const SourceOptions& options = {});

/// How they go through samples; `what` is told on the way.
EvalOptions eval_options(const MeasureFlags& flags, const std::string& what, int64_t count);
EvalOptions eval_options(const LoaderFlags& loader, bool is_quiet, const std::string& what,
                         int64_t count);

/// A set of other pictures of a model's classes.
struct VariantRequest {
  std::string name, source;
  std::string map;   ///< as right_by_class has it; "" for --class-map
  std::string crop;  ///< "model" or "paper"
};

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

  /// The samples that --data and --split name, as labelled gives them.
  const EvalData& tested();

  /// On other pictures of its classes.
  ///
  /// tested  what it says of the tested samples, all its logits
  /// throws  as right_by_class; UsageError for a transform that has no plain crop
  Variant variant(const VariantRequest& request, const PredictedSet& tested);
  /// The tested pictures with other answers, as right_by_picture has them.
  Variant with_answers(const std::string& file, const PredictedSet& tested);

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

  Variant score(Variant variant, const PredictedSet& own, const RightAnswers& right,
                const PredictedSet& tested);
  KnownClasses known_classes() const;

  const MeasureFlags& flags_;
  const LoadedModel model_;
  const Transforms transforms_;
  std::optional<EvalData> tested_;
  std::vector<int64_t> classes_;  ///< that answers are taken from: the tested samples'
  NamedCells settings_;
  Provenance provenance_;
  std::vector<BadSample> bad_samples_;  ///< of all sets
};

}  // namespace vit22b
