#include "train/guard.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "core/error.h"
#include "train/step.h"

namespace vit22b {
namespace {

bool is_bad(const at::Tensor& tensor) {
  return tensor.defined() && !at::isfinite(tensor).all().item<bool>();
}

struct Place {
  std::string unit;
  std::string tensor;
};

/// The first weight, else the first output of a forward pass, that is not finite on this rank.
Place find_bad(const ModelContext& context, WeightStore& store, const at::Tensor& images_BCHW) {
  std::optional<Place> weight;
  std::vector<ParameterRow> table = parameter_table(context.config);
  for (const Unit& unit : model_units(context.config)) {
    const UnitLease lease = store.acquire(unit, Pass::kForward);
    for (const ParameterRow& row : table)
      if (!weight && row.unit == unit && is_bad(lease.weights().at(row.local_name)))
        weight = {row.unit.name(), row.name};
  }
  VitRequest request;
  for (int64_t i = 0; i < context.config.depth; ++i) request.taps.insert(i);
  // Every rank runs it, whatever it has found.
  const VitOutputs outputs = vit_forward(context, store, images_BCHW, request);
  if (weight) return *weight;
  if (is_bad(images_BCHW)) return {"input", "images"};
  for (const auto& [block, output] : outputs.blocks)
    if (is_bad(output)) return {block_unit(block).name(), "output"};
  if (is_bad(outputs.tokens_BTD)) return {"final norm", "output"};
  if (is_bad(outputs.pooled_BD)) return {"pool", "output"};
  if (is_bad(outputs.logits_BC)) return {"head", "logits"};
  return {"loss", "loss"};
}

// What the first rank that has found something says; a rank that finds nothing blames the loss.
Place agreed_place(const Place& own, const Mesh& mesh) {
  Place place{"loss", "loss"};
  for (const std::string& text : mesh.gather_text(own.unit + "\n" + own.tensor, MeshAxis::kAll)) {
    const std::vector<std::string> parts = split(text, '\n');
    if (place.unit == "loss") place = {parts.at(0), parts.at(1)};
  }
  return place;
}

Place place_of_gradient(const ViTConfig& config, const std::string& name) {
  for (const ParameterRow& row : parameter_table(config))
    if (row.name == name) return {row.unit.name(), "gradient of " + name};
  return {"unknown", "gradient norm"};
}

}  // namespace

void check_finite(const StepResult& result, const StepScene& scene, const ModelContext& context,
                  WeightStore& store) {
  const bool is_loss_bad = !std::isfinite(result.loss);
  if (!is_loss_bad && std::isfinite(result.report.gradient_norm)) return;
  const Place place =
      is_loss_bad ? agreed_place(find_bad(context, store, model_input(context.config, scene.batch)),
                                 context.mesh)
                  : place_of_gradient(context.config, result.report.bad_tensor);
  std::vector<std::string> samples;
  for (const std::string& ids :
       context.mesh.gather_text(join(scene.batch.ids, "\n"), MeshAxis::kData))
    for (const std::string& id : split(ids, '\n')) samples.push_back(id);
  const nlohmann::ordered_json diagnosis = {{"step", scene.step},
                                            {"loss", concat(result.loss)},
                                            {"gradient_norm", concat(result.report.gradient_norm)},
                                            {"unit", place.unit},
                                            {"tensor", place.tensor},
                                            {"samples", samples}};
  const auto path = scene.run_folder / "diagnosis.json";
  context.mesh.do_once([&] { write_text(scene.ops, path, diagnosis.dump(1) + "\n"); });
  throw NumbersError("step ", scene.step, ": ", is_loss_bad ? "the loss" : "the gradient norm",
                     " is not finite; it shows first in ", place.unit, " (", place.tensor,
                     "). See ", path.string(),
                     "; the last checkpoint is untouched. Lower optim.lr, lengthen the warm-up, or "
                     "use precision=fp32");
}

}  // namespace vit22b
