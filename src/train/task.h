#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>

#include "core/device.h"
#include "data/loader.h"
#include "eval/classification.h"
#include "model/predictor.h"
#include "train/config.h"

namespace vit22b {

/// What the towers gave for a batch.
struct TowerOutputs {
  VitOutputs main;
  VitOutputs image = {};  ///< of an image tower that trains beside the main one; else undefined
};

/// A batch's loss, and its gradient with respect to the towers' outputs: on a model axis, to this
/// rank's part of them.
struct TaskLoss {
  at::Tensor loss;  ///< scalar, mean over the images, on the device; the same on the model axis
  VitOutputGrads gradients;
  VitOutputGrads image_gradients = {};
};

/// The towers as predictors, for validation.
struct TowerPredictors {
  Predictor& main;
  Predictor* image = nullptr;  ///< of an image tower that trains beside the main one
};

/// What a run optimises and how it is judged; the trainer knows nothing else of it.
class Task {
 public:
  virtual ~Task() = default;
  /// The batch whose outputs these are, on their device; the mesh says how they are shared out.
  virtual TaskLoss loss(const TowerOutputs& outputs, const Batch& batch,
                        const Mesh& mesh) const = 0;
  /// Metrics by name for metrics.jsonl; "accuracy" decides which checkpoint is best.
  virtual std::map<std::string, double> validate(const TowerPredictors& towers,
                                                 const DataSource& source,
                                                 const Transforms& transforms,
                                                 const EvalOptions& options) const = 0;
};

/// The task that a config names.
std::unique_ptr<Task> make_task(const TrainConfig& config, const Device& device);

}  // namespace vit22b
