#pragma once
#include <memory>
#include <string>
#include <vector>

#include "eval/evaluator.h"

namespace vit22b {

/// The evaluators' names.
std::vector<std::string> evaluator_names();

/// An evaluator by its name.
///
/// throws  UsageError with the nearest name
std::unique_ptr<Evaluator> make_evaluator(const std::string& name, const EvaluatorOptions& options);

}  // namespace vit22b
