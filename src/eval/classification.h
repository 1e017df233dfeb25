#pragma once
#include <string>
#include <vector>

#include "eval/evaluation.h"
#include "eval/provenance.h"
#include "metrics/calibration.h"
#include "metrics/classification.h"
#include "metrics/examples.h"
#include "model/predictor.h"

namespace vit22b {

/// What a classification evaluation found; shares are 0 to 1 and NaN where undefined.
struct ClassificationResult {
  double top1 = 0, top5 = 0;
  double loss = 0;  ///< mean of the training loss
  double nll = 0;   ///< of softmax, whatever the training loss
  double ece = 0;   ///< 15 equal-width bins
  int64_t num_examples = 0;
  int64_t num_classes = 0;
  metrics::Confusion confusion;
  std::vector<metrics::CalibrationBin> calibration;
  std::vector<BadSample> bad_samples;
  std::vector<metrics::Example> examples;  ///< the surest right and wrong ones, 12 each
};

/// Runs a predictor once over a source, in order, each rank over its share, batch by batch
/// together; samples that cannot be read are left out and listed. Where options.classes are set,
/// the result is over them alone and numbers them anew.
///
/// throws  DataError when a label is none of the classes or too many samples are bad; Stopped
ClassificationResult evaluate_classification(Predictor& predictor, const DataSource& source,
                                             const Transforms& transforms,
                                             const EvalOptions& options);

/// What a result is about.
struct EvalSetting {
  std::string split;
  std::string labels_by;       ///< how labels were matched, as LabelMap::by has it
  bool is_restricted = false;  ///< answers were taken from the data's own classes alone
};

/// The result as JSON with CLI.md's keys, and `provenance`. `confusion` is the whole matrix of at
/// most 200 classes; of more, an object of each class's counts and the most confused pairs.
///
/// label_names  of the classes that answers are taken from
std::string to_json_text(const ClassificationResult& result,
                         const std::vector<std::string>& label_names, const EvalSetting& setting,
                         const Provenance& provenance);

/// The training loss of logits against integer labels, some rows at a time.
///
/// returns  [B] float32
at::Tensor classification_loss(const std::string& loss, const at::Tensor& logits_BC,
                               const at::Tensor& labels_B);

}  // namespace vit22b
