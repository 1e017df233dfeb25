#pragma once
#include "eval/evaluation.h"

namespace vit22b {

/// What a model says of a whole data set, for measures that look at it more than once.
struct PredictedSet {
  Predictions predictions;  ///< its logits wait in a file that no name leads to
  at::Tensor pooled_ND;     ///< float32; undefined where nobody asked for it
  std::vector<BadSample> bad_samples;
};

/// What shall be kept.
struct PredictAllRequest {
  std::vector<std::string> class_names = {};  ///< of the logits
  bool wants_pooled = false;
  bool has_labels = true;  ///< else they are none of the model's classes, and read as 0
};

/// Runs a predictor once over a source, in order, by one process; samples that cannot be read are
/// left out and listed. Logits are those of options.classes, where there are some.
///
/// throws  as evaluate; UsageError where the folder of temporary files has no room
PredictedSet predict_all(Predictor& predictor, const DataSource& source,
                         const Transforms& transforms, const EvalOptions& options,
                         const PredictAllRequest& request);

}  // namespace vit22b
