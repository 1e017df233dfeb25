#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "dist/mesh.h"
#include "eval/result.h"

namespace vit22b {

/// What a model said of some samples.
struct PredictedBatch {
  at::Tensor logits_BC;  ///< float32, on the CPU, finite
  at::Tensor labels_B;   ///< int64, each one of the C classes
  at::Tensor indices_B;  ///< int64, in their source
  std::vector<std::string> ids;
};

/// What evaluators may want to know of the task; each reads what it needs.
struct EvaluatorOptions {
  std::string loss = "sigmoid";  ///< the training loss: "sigmoid" or "softmax"
  std::vector<std::string> class_names = {};
  std::string class_groups = "";  ///< accuracy by groups of classes, as class_groups has them
};

/// Measures something of predictions, whoever made them: sees them batch by batch, each rank its
/// own, and tells at the end what all ranks' are worth. Each is one file in measure/evaluators and
/// one line of measure/registry.cpp.
class Evaluator {
 public:
  virtual ~Evaluator() = default;
  virtual void add(const PredictedBatch& batch) = 0;
  /// Of all ranks together; every rank calls it.
  virtual Result finish(const Mesh& mesh) = 0;
};

}  // namespace vit22b
