#pragma once
#include "eval/evaluation.h"
#include "metrics/temperature.h"

namespace vit22b {

/// The temperature that makes some predictions' negative log likelihood least.
///
/// throws  DataError for a label that is none of the classes; NumbersError for logits that are not
///         finite
metrics::Temperature temperature_of(const Predictions& predictions, const EvalOptions& options);

/// What the `calibration` evaluator says of predictions, and where others are given, to which a
/// temperature is fitted, what it says at that temperature: `temperature`, `ece_15_after` and the
/// like.
///
/// fit     null for none
/// throws  as temperature_of
Result calibration_of(const Predictions& predictions, const Predictions* fit,
                      const EvaluatorOptions& evaluator, const EvalOptions& options);

}  // namespace vit22b
