#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/two_towers.h"
#include "core/device.h"
#include "core/file.h"
#include "data/loader.h"
#include "data/tokenizer.h"
#include "eval/evaluation.h"
#include "metrics/metric.h"
#include "model/predictor.h"
#include "store/weight_source.h"
#include "train/config.h"
#include "train/data_setup.h"

namespace vit22b {

/// What the towers gave for a batch.
struct TowerOutputs {
  VitOutputs main;        ///< nothing for a batch without input: what of it counts is cached
  VitOutputs image = {};  ///< of an image tower that trains beside the main one; else undefined
  NamedTensors own = {};  ///< the task's own weights, whole, by local name
  bool is_main_trained = false;            ///< whether any of the main tower trains
  NoiseKey key = {};                       ///< of what is drawn in this step
  std::set<std::string> own_trained = {};  ///< names of the own weights that have gradients
};

/// A batch's loss, and its gradient with respect to the towers' outputs: on a model axis, to this
/// rank's part of them.
struct TaskLoss {
  at::Tensor loss;  ///< scalar, mean over the images, on the device; the same on the model axis
  VitOutputGrads gradients;
  VitOutputGrads image_gradients = {};
  NamedTensors own_gradients = {};  ///< of the same loss; what is not here is zero
};

/// The towers as predictors, for validation.
struct TowerPredictors {
  Predictor& main;
  Predictor* image = nullptr;  ///< of an image tower that trains beside the main one
  NamedTensors own = {};       ///< the task's own weights, whole, by local name
};

/// An image tower that trains beside the main one, which is a text tower then.
struct ImageTower {
  ViTConfig config;
  double trained_share = 1;  ///< of its blocks
};

/// A run before its first step, as a task completes it.
struct RunScene {
  TrainConfig& config;
  TrainData& data;
  const Mesh& mesh;
  FileOps& ops;
  std::filesystem::path folder;
  std::filesystem::path start;  ///< the checkpoint that the run goes on from; "" for a first start
};

/// How a validation measures.
struct Validation {
  EvalOptions how;
  EvaluatorOptions of = {};
  std::vector<std::string> evaluators = {};  ///< beyond the task's own, of eval.evaluators
};

/// What a run optimises and how it is judged; the trainer knows nothing else of it.
///
/// Only loss, metrics and validate have to be written: the rest says how a task is other than one
/// tower that learns its images' classes. Set-up calls choose_data, complete, prepare and
/// look_once, in this order; what they read is theirs.
class Task {
 public:
  virtual ~Task() = default;

  /// Leaves out the samples that it cannot use.
  virtual void choose_data(const TrainConfig&, TrainData&) const {}
  /// Whether `complete` writes into the run's folder, which is held then.
  virtual bool needs_folder() const { return false; }
  /// Fills in what data and checkpoints decide of the config. Every rank calls it.
  ///
  /// throws  UsageError, DataError, CheckpointError, each on every rank
  virtual void complete(const RunScene& scene);
  /// Opens the models that look on.
  virtual void prepare(const TrainConfig&, const Device&) {}
  /// Gives the data what models say of it once, before the first step. Every rank calls it.
  virtual void look_once(const TrainConfig&, const Device&, const Mesh&, TrainData&) const {}

  /// The tower that trains beside the config's model; none for most.
  virtual std::optional<ImageTower> image_tower() const { return std::nullopt; }
  /// The model that sees the images.
  virtual const ViTConfig& image_model(const TrainConfig& config) const { return config.model; }
  /// What the transforms' `tokenize` uses; null for a task without words.
  virtual std::shared_ptr<const Tokenizer> tokenizer() const { return nullptr; }
  /// The weights that a first start has.
  virtual std::unique_ptr<WeightSource> first_weights(const TrainConfig& config) const;
  /// What checkpoints say of the model, and what they hold beside the trained weights.
  virtual ModelInfo model_info(const TrainConfig& config) const;
  virtual std::optional<FrozenParts> frozen_parts() const { return std::nullopt; }

  /// Samples as its steps see them, with made-up content: to measure a step before there is data.
  /// Nothing where only a run's data give them.
  virtual std::optional<Batch> made_up(const TrainConfig&, int64_t) const { return std::nullopt; }

  /// The blocks of the main tower whose outputs the loss sees; they may have gradients.
  virtual std::set<int64_t> taps() const { return {}; }
  /// Whether steps run the main tower; else what it says is cached.
  virtual bool runs_main() const { return true; }
  /// Whether the loss sees pooled features or logits of the main tower, not its tokens alone.
  virtual bool is_of_pooled() const { return true; }
  /// The batch whose outputs these are, on their device; the mesh says how they are shared out.
  virtual TaskLoss loss(const TowerOutputs& outputs, const Batch& batch,
                        const Mesh& mesh) const = 0;
  /// What validation measures. The first decides which checkpoint is `best`; the first two stand
  /// in the log.
  virtual std::vector<Metric> metrics() const = 0;
  /// A value for each metric, and others, by name: metrics.jsonl has them all as "val/NAME", those
  /// of evaluators that were asked for as "val/EVALUATOR.NAME".
  virtual std::map<std::string, double> validate(const TowerPredictors& towers,
                                                 const DataSource& source,
                                                 const Transforms& transforms,
                                                 const Validation& validation) const = 0;
};

/// Noise in the size of a model's images: [images, C, H, W] float32.
at::Tensor made_up_images(const ViTConfig& model, int64_t images);

/// The task that a config names, ready for batches.
std::unique_ptr<Task> make_task(const TrainConfig& config, const Device& device);

}  // namespace vit22b
