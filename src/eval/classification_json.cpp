#include <cmath>
#include <nlohmann/json.hpp>

#include "eval/classification.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

/// The matrix of few classes. One of many has no readers, and no room: it is as large as their
/// square.
Json confusion_json(const ClassificationResult& r) {
  constexpr int64_t kMostOfAMatrix = 200;
  constexpr size_t kPairs = 1000;
  if (r.num_classes <= kMostOfAMatrix) return r.confusion.matrix(r.num_classes);
  Json pairs = Json::array();
  for (const auto& [pair, count] : r.confusion.most_confused(kPairs))
    pairs.push_back({{"label", pair.first}, {"prediction", pair.second}, {"count", count}});
  const metrics::Confusion::PerClass all = r.confusion.per_class(r.num_classes);
  return {{"labels", all.truths},
          {"predictions", all.predictions},
          {"right", all.right},
          {"most_confused", pairs}};
}

}  // namespace

std::string to_json_text(const ClassificationResult& r, const std::vector<std::string>& label_names,
                         const EvalSetting& setting, const Provenance& provenance) {
  // NaN becomes null: JSON has none.
  const auto number = [](double value) {
    return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
  };
  nlohmann::ordered_json bins = nlohmann::ordered_json::array();
  for (const auto& bin : r.calibration)
    bins.push_back({{"count", bin.count},
                    {"accuracy", number(bin.accuracy)},
                    {"confidence", number(bin.confidence)}});
  nlohmann::ordered_json bad = nlohmann::ordered_json::array();
  for (const BadSample& sample : r.bad_samples)
    bad.push_back({{"id", sample.id}, {"reason", sample.reason}});
  nlohmann::ordered_json examples = nlohmann::ordered_json::array();
  for (const metrics::Example& e : r.examples)
    examples.push_back({{"sample", e.sample},
                        {"id", e.id},
                        {"label", e.label},
                        {"prediction", e.prediction},
                        {"probability", e.probability}});
  return nlohmann::ordered_json{{"split", setting.split},
                                {"labels_by", setting.labels_by},
                                {"restricted", setting.is_restricted},
                                {"top1", number(r.top1)},
                                {"top5", number(r.top5)},
                                {"loss", number(r.loss)},
                                {"nll", number(r.nll)},
                                {"ece", number(r.ece)},
                                {"num_examples", r.num_examples},
                                {"provenance", provenance_json(provenance)},
                                {"bad_samples", bad},
                                {"label_names", label_names},
                                {"calibration", bins},
                                {"confusion", confusion_json(r)},
                                {"examples", examples}}
             .dump(1, ' ', false, nlohmann::json::error_handler_t::replace) +
         "\n";
}

}  // namespace vit22b
