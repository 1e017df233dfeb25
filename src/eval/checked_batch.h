#pragma once
#include "eval/evaluation.h"

namespace vit22b {

/// What was said of a batch, of the classes that options.classes ask for.
///
/// place   the file of the logits; "" where a model gave them
/// throws  NumbersError for logits that are not finite, DataError for a label that is none of the
///         classes
PredictedBatch checked(PredictedBatch batch, const EvalOptions& options,
                       const std::string& place = "");

}  // namespace vit22b
