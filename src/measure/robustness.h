#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/evaluation.h"
#include "eval/predict_all.h"

namespace vit22b {

/// What a model makes of a data set in one state.
struct RobustnessScore {
  double accuracy = 0, nll = 0, ece = 0;
};

/// A model's scores on clean pictures and on corrupted ones.
struct Robustness {
  RobustnessScore clean;
  struct Row {
    std::string corruption, group;
    int64_t severity = 1;
    RobustnessScore score;
  };
  std::vector<Row> rows;
  int64_t num_examples = 0;
  std::vector<BadSample> bad_samples = {};  ///< of the clean pictures
};

/// Whose errors a corruption error is a share of: AlexNet's on ImageNet-C, or another model's on
/// the same data.
struct RobustnessReference {
  std::string name;
  double clean_error = 0;
  std::map<std::string, double> errors;  ///< of each corruption, the mean over severities
  std::vector<int64_t> severities = {1, 2, 3, 4, 5};
  std::string fingerprint = "";                 ///< of the samples; "" where nobody knows
  std::optional<uint64_t> seed = std::nullopt;  ///< of the corruptions, where there is one

  /// throws  UsageError where a result of these severities, samples and seed is not comparable
  void check(const std::vector<int64_t>& of_severities, const std::string& samples,
             uint64_t of_seed) const;
};

/// AlexNet's published errors on ImageNet-C: of ImageNet's classes alone.
///
/// source  Hendrycks and Dietterich 2019; robustness_metrics reports/imagenet_variants.py
RobustnessReference alexnet_reference();

/// Another model's, from what `eval robustness --json` said of it.
///
/// throws  DataError for a file that is no such result
RobustnessReference read_robustness_reference(const std::filesystem::path& file);

/// Which corruptions, how strong.
struct RobustnessRequest {
  std::vector<std::string> corruptions;
  std::vector<int64_t> severities = {1, 2, 3, 4, 5};
  uint64_t seed = 0;
  EvaluatorOptions evaluator = {};
  const PredictedSet* clean = nullptr;  ///< what the model said of the clean pictures, if known
};

/// Runs a model over a source clean, then once for each corruption and severity.
///
/// throws  as evaluate; before any work UsageError for a corruption that there is not
Robustness measure_robustness(Predictor& predictor, const std::shared_ptr<const DataSource>& source,
                              const Transforms& transforms, const EvalOptions& options,
                              const RobustnessRequest& request);

/// Accuracy, NLL and ECE by corruption, their means over the corruptions of ImageNet-C, and beside
/// a reference the mean corruption error (mCE) and the relative one, which counts what is lost.
/// Without one these are undefined.
Result robustness_result(const Robustness& robustness, const RobustnessReference* reference);

}  // namespace vit22b
