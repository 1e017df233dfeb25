#include "train/trained_model.h"

#include <algorithm>

#include "core/error.h"
#include "eval/vit_predictor.h"

namespace vit22b {
namespace {

std::vector<ParameterRow> table_of(const TrainConfig& config,
                                   const std::optional<ImageTower>& image) {
  std::vector<ParameterRow> table = parameter_table(config.model);
  if (image)
    for (ParameterRow& row : image_tower_table(image->config)) table.push_back(std::move(row));
  for (ParameterRow& row : config.task_options().rows(config)) {
    VIT22B_CHECK(
        row.unit == Unit{UnitKind::kTask} && row.name == concat(kTaskPrefix, row.local_name),
        "task=", config.task, ": the row ", row.name, " is not as a task's own are");
    table.push_back(std::move(row));
  }
  return table;
}

}  // namespace

TrainedModel::TrainedModel(Parts parts, std::unique_ptr<WeightSource> source)
    : parts_(std::move(parts)),
      table_(table_of(parts_.config, parts_.image)),
      own_(own_parameters(parts_.config, table_, *source)),
      engine_(
          make_engine(parts_.config.engine, parts_.mesh, precision_type(parts_.config.precision))),
      optimizer_(make_optimizer(parts_.config.optim)),
      main_inputs_(make_block_inputs(parts_.config, parts_.folder)),
      image_inputs_(parts_.image ? make_block_inputs(parts_.config, parts_.folder) : nullptr),
      store_(make_store(parts_.config, table_, own_, std::move(source),
                        {*parts_.memory, parts_.device, parts_.mesh})),
      sinks_(
          make_sinks(parts_.config, table_, {*optimizer_, *store_, parts_.mesh, *parts_.memory})) {}

ModelContext TrainedModel::context(const ViTConfig& config, BlockInputs* inputs) const {
  return {config,
          *engine_,
          parts_.mesh,
          precision_type(parts_.config.precision),
          activation_policy(parts_.config),
          /*packed=*/nullptr,
          inputs,
          residual_type(parts_.config.precision)};
}

TrainedTowers TrainedModel::towers() const {
  TrainedTowers towers{context(parts_.config.model, main_inputs_.get()), *store_, sinks_.first()};
  if (parts_.image) towers.image.emplace(context(parts_.image->config, image_inputs_.get()));
  towers.has_own_weights = has_own_weights();
  return towers;
}

NamedTensors TrainedModel::own_weights() const {
  NamedTensors own;
  if (!has_own_weights()) return own;
  const UnitLease lease = store_->acquire({UnitKind::kTask}, Pass::kForward);
  for (const auto& [name, tensor] : lease.weights()) own[name] = tensor.clone();
  return own;
}

NamedParts TrainedModel::weights() const {
  std::vector<ParameterRow> own;
  for (const ParameterRow& row : table_)
    if (own_.count(row.name) != 0) own.push_back(row);
  return owned_parts(*store_, own);
}

AveragedWeights TrainedModel::averages(int64_t updates) const {
  return {*sinks_.updating, *store_, parts_.config.optim.polyak, updates};
}

double TrainedModel::flops_of_sample() const {
  double flops = train_flops(parts_.config.model,
                             backward_share(parts_.config.model, table_, *sinks_.updating));
  if (parts_.image) {
    const double share = parts_.image->trained_share;
    flops += train_flops(parts_.image->config, {share, share});
  }
  return flops;
}

}  // namespace vit22b
