#include "measure/registry.h"

#include "core/error.h"
#include "measure/evaluators/calibration.h"
#include "measure/evaluators/classification.h"
#include "measure/evaluators/selective.h"

namespace vit22b {
namespace {

struct EvaluatorKind {
  const char* name;
  std::unique_ptr<Evaluator> (*make)(const EvaluatorOptions& options);
};

// The one list of evaluators.
constexpr EvaluatorKind kKinds[] = {
    {"classification", make_classification},
    {"calibration", make_calibration},
    {"selective", make_selective},
};

}  // namespace

std::vector<std::string> evaluator_names() {
  std::vector<std::string> names;
  for (const EvaluatorKind& kind : kKinds) names.emplace_back(kind.name);
  return names;
}

std::unique_ptr<Evaluator> make_evaluator(const std::string& name,
                                          const EvaluatorOptions& options) {
  for (const EvaluatorKind& kind : kKinds)
    if (name == kind.name) return kind.make(options);
  throw UsageError("there is no evaluator '", name, "'", did_you_mean(name, evaluator_names()),
                   "; there are ", join(evaluator_names(), ", "));
}

}  // namespace vit22b
