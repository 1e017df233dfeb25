#include "plan/outline.h"

#include "dist/outline.h"
#include "store/tuned.h"

namespace vit22b {
namespace {

// Those that store=streamed holds of a checkpoint that has all of the model but the task's own.
std::set<std::string> trained_names(const TrainConfig& config,
                                    const std::vector<ParameterRow>& table) {
  const std::vector<ParameterRule> rules = training_rules(config, table);
  std::set<std::string> names;
  for (size_t i = 0; i < table.size(); ++i)
    if (rules[i].is_trained || table[i].unit.kind == UnitKind::kTask) names.insert(table[i].name);
  return names;
}

}  // namespace

at::Tensor TrainOutline::Memory::zeros(at::IntArrayRef shape, at::ScalarType dtype) {
  return at::empty(shape, at::TensorOptions(dtype).device(c10::kMeta));
}

TrainOutline::TrainOutline(const PlanRequest& request)
    : depth_(request.config.model.depth),
      table_(parameter_table(request.config.model)),
      mesh_(make_outline_mesh({request.config.mesh.data, request.config.mesh.model})),
      memory_(!request.has_state_on_host()),
      optimizer_(make_optimizer(request.config.optim)) {
  const TrainConfig& config = request.config;
  if (request.others.trained_image)
    for (ParameterRow& row : image_tower_table(*request.others.trained_image))
      table_.push_back(std::move(row));
  for (ParameterRow& row : config.task_options().rows(config)) table_.push_back(std::move(row));
  const std::set<std::string> own = trained_names(config, table_);
  store_ =
      make_store(config, table_, own, std::make_unique<NoSource>(), {memory_, c10::kMeta, mesh_});
  sinks_ = make_sinks(config, table_, {*optimizer_, *store_, mesh_, memory_});
  backward_share_ = vit22b::backward_share(config.model, table_, *sinks_.updating);
  if (request.is_streamed())
    std::erase_if(table_, [&](const ParameterRow& row) { return own.count(row.name) == 0; });
}

int64_t TrainOutline::trained_blocks() const {
  int64_t first = 0;
  if (!is_embedding_trained())
    while (first < depth_ && !is_trained(block_unit(first))) ++first;
  return depth_ - first;
}

int64_t TrainOutline::streamed_bytes() const {
  const auto* tuned = dynamic_cast<const TunedStore*>(store_.get());
  return tuned == nullptr ? 0 : tuned->streamed_bytes();
}

int64_t TrainOutline::weight_bytes() const {
  return bytes_of(owned_parts(*store_, table_));
}

int64_t TrainOutline::state_bytes() const {
  return bytes_of(sinks_.updating->state());
}

TrainOutline::UnitBytes TrainOutline::unit_bytes(const Unit& unit) const {
  std::map<std::string, int64_t> state_of;
  for (const auto& [name, slot] : sinks_.updating->state())
    state_of[name.substr(name.find('/') + 1)] += static_cast<int64_t>(slot.part.nbytes());
  UnitBytes bytes;
  for (const ParameterRow& row : table_) {
    if (row.unit != unit) continue;
    bytes.weights += static_cast<int64_t>(weight(row).nbytes());
    bytes.state += state_of[row.name];
    bytes.largest_state = std::max(bytes.largest_state, state_of[row.name]);
    bytes.largest_weight = std::max(bytes.largest_weight, weight(row).numel());
  }
  return bytes;
}

int64_t TrainOutline::gradient_bytes(const Unit& unit) const {
  return sinks_.updating->gradient_bytes(unit) +
         (sinks_.scattering == nullptr ? 0 : sinks_.scattering->gradient_bytes(unit));
}

int64_t TrainOutline::leaf_bytes(UnitKind kind) const {
  int64_t elements = 0;
  for (const ParameterRow& row : table_)
    if (row.unit.kind == kind && store_->weight(row).scalar_type() != at::kFloat &&
        sinks_.updating->trained(row.unit).count(row.local_name) != 0)
      elements += store_->weight(row).numel();
  return elements * static_cast<int64_t>(sizeof(float));
}

}  // namespace vit22b
