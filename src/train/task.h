#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>

#include "data/loader.h"
#include "eval/classification.h"
#include "model/predictor.h"
#include "train/config.h"

namespace vit22b {

/// A batch's loss, and its gradient with respect to the model's outputs: on a model axis, to this
/// rank's part of them.
struct TaskLoss {
  at::Tensor loss;  ///< scalar, mean over the images, on the device; the same on the model axis
  VitOutputGrads gradients;
};

/// What a run optimises and how it is judged; the trainer knows nothing else of it.
class Task {
 public:
  virtual ~Task() = default;
  /// labels_B on the outputs' device; the mesh says how the outputs are shared out.
  virtual TaskLoss loss(const VitOutputs& outputs, const at::Tensor& labels_B,
                        const Mesh& mesh) const = 0;
  /// Metrics by name for metrics.jsonl; "accuracy" decides which checkpoint is best.
  virtual std::map<std::string, double> validate(Predictor& predictor, const DataSource& source,
                                                 const Transforms& transforms,
                                                 const EvalOptions& options) const = 0;
};

/// The task that a config names.
std::unique_ptr<Task> make_task(const TrainConfig& config);

}  // namespace vit22b
