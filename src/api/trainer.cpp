#include <ATen/ATen.h>

#include "api/arrays.h"
#include "checkpoint/container/containers.h"
#include "checkpoint/model_info.h"
#include "core/config.h"
#include "core/error.h"
#include "train/batch_trainer.h"
#include "train/transform_setup.h"

namespace vit22b {
namespace {

bool is_checkpoint(const std::string& from) {
  return std::filesystem::is_directory(from) || has_container_ending(from);
}

/// A start from a checkpoint as a config says it.
ConfigTree tree_of_checkpoint(const std::string& checkpoint) {
  ConfigTree tree;
  set_override(tree, "init_from=" + checkpoint);
  const ModelInfo info = read_model_info(resolve_checkpoint(checkpoint));
  if (!info.label_names.empty()) tree["data.label_names"] = {info.label_names, checkpoint};
  return tree;
}

TrainConfig config_of(const std::string& from, const std::vector<std::string>& overrides) {
  ConfigTree tree;
  if (!from.empty()) tree = is_checkpoint(from) ? tree_of_checkpoint(from) : read_config_file(from);
  for (const std::string& assignment : overrides) set_override(tree, assignment);
  if (tree.count("data.root") == 0) set_override(tree, "data.root=(the caller's)");
  TrainConfig config = train_config_from_tree(tree);
  if (config.task != "classify")
    throw UsageError("task=", config.task, ": a Trainer has images and labels; use task=classify");
  if (config.mesh.data > 1 || config.mesh.model > 1)
    throw UsageError(
        "a Trainer is one process; leave mesh.data and mesh.model, or use the program");
  // Another head has other classes than the checkpoint's names.
  if (static_cast<int64_t>(config.data.label_names.size()) != config.model.num_classes)
    config.data.label_names.clear();
  complete_transforms(config);
  return config;
}

}  // namespace

struct Trainer::State {
  State(const TrainConfig& config, const Device& device)
      : trainer(config, device), task(make_task(config, device)), transforms(config.data.pp_eval) {}

  const TrainConfig& config() const { return trainer.config(); }

  BatchTrainer trainer;
  std::unique_ptr<Task> task;
  Transforms transforms;
};

Trainer::Trainer(const std::string& config, const std::vector<std::string>& overrides) {
  const TrainConfig whole = config_of(config, overrides);
  const Device device = api::opened_device(whole.device, whole.threads);
  state_ = std::make_unique<State>(whole, device);
}

Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;

double Trainer::step(const Array& images, const std::vector<int64_t>& labels) {
  const Batch batch = batch_of(api::view_of(images, 4, "images"), at::tensor(labels, at::kLong));
  const int64_t count = batch.images_BCHW().size(0), pieces = state_->config().accumulate;
  if (count != batch.labels_B.numel() || count == 0)
    throw UsageError("there are ", count, " images and ", batch.labels_B.numel(), " labels");
  if (count % pieces != 0)
    throw UsageError(count, " images cannot be cut into ", pieces, " pieces (accumulate)");
  const int64_t low = batch.labels_B.min().item<int64_t>(),
                high = batch.labels_B.max().item<int64_t>(),
                classes = state_->config().model.num_classes;
  if (low < 0 || high >= classes)
    throw UsageError("label ", low < 0 ? low : high, ", but the model has ", classes,
                     " classes (model.num_classes)");
  return state_->trainer.step(*state_->task, batch).loss;
}

int64_t Trainer::steps() const {
  return state_->trainer.steps();
}

double Trainer::learning_rate() const {
  return state_->trainer.learning_rate();
}

Array Trainer::preprocess(const std::vector<std::string>& files) const {
  return api::preprocess(files, state_->transforms);
}

Array Trainer::logits(const Array& images) {
  return api::array_of(state_->trainer.forward(api::view_of(images, 4, "images")).logits_BC);
}

void Trainer::save(const std::string& folder) {
  FileOps ops(ExitCode::kCheckpoint);
  state_->trainer.save(ops, folder);
}

}  // namespace vit22b
