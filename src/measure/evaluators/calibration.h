#pragma once
#include <memory>

#include "eval/evaluator.h"

namespace vit22b {

/// How well confidences are the shares of right answers: errors by several binnings, log
/// likelihood, Brier score and its parts, and what perfect calibration would read of as many
/// samples.
std::unique_ptr<Evaluator> make_calibration(const EvaluatorOptions& options);

}  // namespace vit22b
