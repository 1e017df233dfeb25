#include "train/guard.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "core/error.h"
#include "store/tower_view.h"

namespace vit22b {
namespace {

bool is_bad(const at::Tensor& tensor) {
  return tensor.defined() && !at::isfinite(tensor).all().item<bool>();
}

struct Place {
  std::string unit;
  std::string tensor;
};

const Place kNowhere{"loss", "loss"};

/// The first weight, else the first output of a forward pass, that is not finite on this rank.
Place find_bad(const ModelContext& context, WeightStore& all, Tower tower, const Batch& batch) {
  TowerStore store(all, tower);
  const auto named = [&](Unit unit) {
    unit.tower = tower;
    return unit.name();
  };
  std::optional<Place> weight;
  std::vector<ParameterRow> table = parameter_table(context.config);
  for (const Unit& unit : model_units(context.config)) {
    const UnitLease lease = store.acquire(unit, Pass::kForward);
    for (const ParameterRow& row : table)
      if (!weight && row.unit == unit && is_bad(lease.weights().at(row.local_name)))
        weight = {named(unit), row.name};
  }
  VitRequest request;
  for (int64_t i = 0; i < context.config.depth; ++i) request.taps.insert(i);
  const at::Tensor& input = model_input(context.config, batch);
  // Every rank runs it, whatever it has found.
  const VitOutputs outputs = vit_forward(context, store, input, request);
  if (weight) return *weight;
  if (is_bad(input)) return {"input", "images"};
  for (const auto& [block, output] : outputs.blocks)
    if (is_bad(output)) return {named(block_unit(block)), "output"};
  if (is_bad(outputs.tokens_BTD)) return {named({UnitKind::kFinalNorm}), "output"};
  if (is_bad(outputs.pooled_BD)) return {named({UnitKind::kPool}), "output"};
  if (is_bad(outputs.logits_BC)) return {named({UnitKind::kHead}), "logits"};
  return kNowhere;
}

Place find_bad(const TrainedTowers& towers, const Batch& batch) {
  Place image = kNowhere;
  if (towers.image) image = find_bad(*towers.image, towers.store, Tower::kImage, batch);
  const Place main = find_bad(towers.main, towers.store, Tower::kMain, batch);
  return image.unit == kNowhere.unit ? main : image;
}

// What the first rank that has found something says; a rank that finds nothing blames the loss.
Place agreed_place(const Place& own, const Mesh& mesh) {
  Place place = kNowhere;
  for (const std::string& text : mesh.gather_text(own.unit + "\n" + own.tensor, MeshAxis::kAll)) {
    const std::vector<std::string> parts = split(text, '\n');
    if (place.unit == kNowhere.unit) place = {parts.at(0), parts.at(1)};
  }
  return place;
}

Place place_of_gradient(const TrainedTowers& towers, const std::string& name) {
  std::vector<ParameterRow> rows = parameter_table(towers.main.config);
  if (towers.image)
    for (ParameterRow& row : image_tower_table(towers.image->config))
      rows.push_back(std::move(row));
  for (const ParameterRow& row : rows)
    if (row.name == name) return {row.unit.name(), "gradient of " + name};
  return {"unknown", "gradient norm"};
}

}  // namespace

void check_finite(const StepResult& result, const StepScene& scene, const TrainedTowers& towers) {
  const Mesh& mesh = towers.main.mesh;
  const bool is_loss_bad = !std::isfinite(result.loss);
  if (!is_loss_bad && std::isfinite(result.report.gradient_norm)) return;
  const Place place = is_loss_bad ? agreed_place(find_bad(towers, scene.batch), mesh)
                                  : place_of_gradient(towers, result.report.bad_tensor);
  std::vector<std::string> samples;
  for (const std::string& ids : mesh.gather_text(join(scene.batch.ids, "\n"), MeshAxis::kData))
    for (const std::string& id : split(ids, '\n')) samples.push_back(id);
  const nlohmann::ordered_json diagnosis = {{"step", scene.step},
                                            {"loss", concat(result.loss)},
                                            {"gradient_norm", concat(result.report.gradient_norm)},
                                            {"unit", place.unit},
                                            {"tensor", place.tensor},
                                            {"samples", samples}};
  const auto path = scene.run_folder / "diagnosis.json";
  mesh.do_once([&] { write_text(scene.ops, path, diagnosis.dump(1) + "\n"); });
  throw NumbersError("step ", scene.step, ": ", is_loss_bad ? "the loss" : "the gradient norm",
                     " is not finite; it shows first in ", place.unit, " (", place.tensor,
                     "). See ", path.string(),
                     "; the last checkpoint is untouched. Lower optim.lr, lengthen the warm-up, or "
                     "use precision=fp32");
}

}  // namespace vit22b
