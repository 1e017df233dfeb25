#include "train/trained_model.h"

#include "eval/vit_predictor.h"

namespace vit22b {
namespace {

std::vector<ParameterRow> table_of(const ViTConfig& model, const std::optional<ImageTower>& image) {
  std::vector<ParameterRow> table = parameter_table(model);
  if (image)
    for (ParameterRow& row : image_tower_table(image->config)) table.push_back(std::move(row));
  return table;
}

}  // namespace

TrainedModel::TrainedModel(Parts parts, WeightSource& source)
    : parts_(std::move(parts)),
      table_(table_of(parts_.config.model, parts_.image)),
      engine_(
          make_engine(parts_.config.engine, parts_.mesh, precision_type(parts_.config.precision))),
      optimizer_(make_optimizer(parts_.config.optim)),
      main_inputs_(make_block_inputs(parts_.config, parts_.folder)),
      image_inputs_(parts_.image ? make_block_inputs(parts_.config, parts_.folder) : nullptr),
      store_(make_store(parts_.config, table_, source, *parts_.memory, parts_.device, parts_.mesh)),
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
  return towers;
}

AveragedWeights TrainedModel::averages(int64_t updates) const {
  return {*sinks_.updating, *store_, parts_.config.optim.polyak, updates};
}

// Backward passes cost twice a forward one, from the first block that trains on.
double TrainedModel::flops_of_sample() const {
  double flops = train_flops(parts_.config.model);
  if (parts_.image)
    flops += forward_flops(parts_.image->config) * (1 + 2 * parts_.image->trained_share);
  return flops;
}

}  // namespace vit22b
