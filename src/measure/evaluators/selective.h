#pragma once
#include <memory>

#include "eval/evaluator.h"

namespace vit22b {

/// What it is worth to leave out the answers that a model is least sure of, or to hand them to
/// somebody who knows.
std::unique_ptr<Evaluator> make_selective(const EvaluatorOptions& options);

}  // namespace vit22b
