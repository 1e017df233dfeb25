#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "core/config.h"
#include "data/sample.h"
#include "dist/mesh.h"
#include "model/config.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "train/task_options.h"

namespace vit22b {

/// The options under `data.`.
struct DataConfig {
  std::string source = "folder";
  std::string root;
  std::vector<std::string> label_names;
  int64_t batch_size = 128;
  std::string pp_train;
  std::string pp_eval;
  int64_t workers = 0;
  double max_bad_fraction = 0.001;
  int64_t max_pixels = kMaxPixels;
  double mixup = 0;
  bool any_size = false;
  std::string split_folders = "auto";
  bool allow_empty = false;
  std::string train_split = "train";
  std::string val = "5%";
  std::string class_map;

  void fields(FieldVisitor& visitor);
};

/// The options under `mesh.`.
struct MeshConfig {
  int64_t data = 0;  ///< 0: what the model axis leaves
  int64_t model = 1;
  double deadline_s = 600;
  int64_t prefetch = 1;
  std::string ring = "one-way";
  std::string transfers = "async";

  void fields(FieldVisitor& visitor);
};

/// What validations measure beyond the task's own metrics.
struct EvaluationConfig {
  std::vector<std::string> evaluators;

  void fields(FieldVisitor& visitor);
};

/// An evaluator of eval.evaluators, and at which of the validations it is due.
struct AskedEvaluator {
  std::string name;
  int64_t every = 1;
};
/// "NAME", or "NAME@K" for every K-th validation and the last.
///
/// throws  UsageError for another text, or a name that is no evaluator's
AskedEvaluator asked_evaluator(const std::string& text);

/// Everything that decides a training run.
struct TrainConfig {
  Duration total, warmup, cooldown, log, eval, ckpt, keep_ckpt;
  int64_t seed = 0;
  std::string precision = "fp32";
  std::string engine = "fused";
  int64_t threads = 0;
  std::string device = "cpu";
  std::string activation = "keep";
  std::string block_inputs = "device";
  int64_t accumulate = 1;
  int64_t keep_last = 2;
  std::string task = "classify";
  std::string init_from;
  std::vector<std::string> init_skip;
  std::vector<std::string> init_allow;
  std::vector<std::string> freeze, tune;
  std::string loss = "sigmoid";
  std::string store = "resident";
  std::string state = "memory";
  std::string state_path;
  std::string update = "deferred";
  std::string weights = "fp32";
  ViTConfig model;
  bool has_num_classes =
      false;  ///< model.num_classes was written; else it is counted from the data
  DataConfig data;
  OptimConfig optim;
  ScheduleConfig schedule;
  MeshConfig mesh;
  EvaluationConfig evaluation;  ///< the section [eval]
  TaskSections tasks;

  /// Those of the task that the config names.
  const TaskOptions& task_options() const { return tasks.at(task); }
  /// Whether checkpoints have what trains alone, beside the weights of `init_from`.
  bool saves_beside_base() const { return model.adapters.exist() || store == "streamed"; }
  void fields(FieldVisitor& visitor);
};

/// Reads a config: the model's preset, then everything that the tree says. Where model.name and
/// model.block are not written, the model that other keys change is that of `init_from`; without
/// that the tree's `fresh_model.` keys are the model's.
///
/// start   the checkpoint that stands in for init_from where a run goes on from one of its own
/// throws  UsageError for unknown keys, wrong values, and choices that are not built here;
///         CheckpointError for an `init_from` that cannot be read
TrainConfig train_config_from_tree(const ConfigTree& tree, const std::string& start = "");

/// The learning rates of a run's steps.
///
/// examples_per_epoch  0 where it is not known
/// throws              UsageError for a duration in epochs then
Schedule make_schedule(const TrainConfig& config, int64_t examples_per_epoch);

/// Checks that the choices of a config go together.
///
/// throws  UsageError naming the two that do not, or a value out of range
void check_choices(const TrainConfig& config);

/// Checks what a mesh asks of a config, once the data has completed it.
///
/// throws  UsageError naming what would fit
void check_mesh(const TrainConfig& config, const Mesh& mesh);

/// The config as a TOML document that reads back the same.
std::string to_toml(const TrainConfig& config);

/// The source as SRC: "kind:root".
std::string source_text(const DataConfig& data);

}  // namespace vit22b
