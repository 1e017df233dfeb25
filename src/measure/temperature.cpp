#include "measure/temperature.h"

#include <algorithm>

#include "core/error.h"
#include "measure/defined_number.h"
#include "measure/registry.h"

namespace vit22b {
namespace {

/// Gives each batch, checked, to a function that adds it up.
class Adding : public Evaluator {
 public:
  explicit Adding(double beta) : beta_(beta) {}
  void add(const PredictedBatch& batch) override {
    sum_.add(metrics::scaled_nll(batch.logits_BC, batch.labels_B, beta_));
  }
  Result finish(const Mesh&) override {
    return {"scaled_nll",
            {},
            {{{"nll"}, sum_.nll}, {{"slope"}, sum_.slope}, {{"curvature"}, sum_.curvature}}};
  }

 private:
  double beta_;
  metrics::ScaledNll sum_;
};

Result measured(const Predictions& predictions, const EvaluatorOptions& evaluator,
                const EvalOptions& options) {
  Evaluators evaluators;
  evaluators.push_back(make_evaluator("calibration", evaluator));
  return std::move(evaluate(predictions, options, evaluators).front());
}

void add_after(const Result& after, Result& result) {
  for (const char* name : {"ece_15", "ece_100_equal_mass", "nll", "brier"}) {
    const auto number =
        std::find_if(after.numbers.begin(), after.numbers.end(),
                     [&](const ResultNumber& one) { return one.metric.name == name; });
    ResultNumber changed = *number;
    changed.metric.name += "_after";
    add_defined(result, changed, concat(name, " at that temperature"));
  }
  for (ResultTable table : after.tables) {
    table.name += "_after";
    result.tables.push_back(std::move(table));
  }
}

}  // namespace

metrics::Temperature temperature_of(const Predictions& predictions, const EvalOptions& options) {
  return metrics::fit_temperature([&](double beta) {
    Evaluators evaluators;
    evaluators.push_back(std::make_unique<Adding>(beta));
    const Result sums = evaluate(predictions, options, evaluators).front();
    return metrics::ScaledNll{sums.number("nll"), sums.number("slope"), sums.number("curvature")};
  });
}

Result calibration_of(const Predictions& predictions, const Predictions* fit,
                      const EvaluatorOptions& evaluator, const EvalOptions& options) {
  Result result = measured(predictions, evaluator, options);
  if (fit == nullptr) return result;
  const metrics::Temperature temperature = temperature_of(*fit, options);
  add_defined(result, {{"temperature", ""}, temperature.value},
              temperature.is_determined
                  ? concat("logits are divided by it; least NLL of ", fit->size(), " other samples")
                  : concat("not determined: the NLL of ", fit->size(),
                           " other samples falls beyond it (all are right, or none better than "
                           "chance)"));
  result.settings.emplace_back("temperature_is_determined", temperature.is_determined);
  add_after(measured(scaled(predictions, 1 / temperature.value), evaluator, options), result);
  return result;
}

}  // namespace vit22b
