#pragma once
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "eval/evaluator.h"
#include "metrics/calibration.h"

namespace vit22b {

/// What probabilities are, whatever a model was trained with.
std::string probabilities_text(const EvaluatorOptions& options);

/// How sure each answer of some predictions was, and whether it was right: 16 bytes a sample.
class JudgedAnswers {
 public:
  void add(const std::vector<metrics::Answer>& answers);
  /// Of all ranks together; every rank calls it.
  std::vector<metrics::Judged> all(const Mesh& mesh) const;

 private:
  std::vector<metrics::Judged> own_;
};

}  // namespace vit22b
