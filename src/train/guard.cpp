#include "train/guard.h"

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace vit22b {
namespace {

bool is_bad(const at::Tensor& tensor) {
  return tensor.defined() && !at::isfinite(tensor).all().item<bool>();
}

struct Place {
  std::string unit;
  std::string tensor;
};

/// The first weight, else the first output of a forward pass, that is not finite.
Place find_bad(const ModelContext& context, WeightStore& store, const at::Tensor& images_BCHW) {
  for (const ParameterRow& row : parameter_table(context.config))
    if (is_bad(store.acquire(row.unit, Pass::kForward).weights().at(row.local_name)))
      return {row.unit.name(), row.name};
  if (is_bad(images_BCHW)) return {"input", "images"};
  VitRequest request;
  for (int64_t i = 0; i < context.config.depth; ++i) request.taps.insert(i);
  const VitOutputs outputs = vit_forward(context, store, images_BCHW, request);
  for (const auto& [block, output] : outputs.blocks)
    if (is_bad(output)) return {block_unit(block).name(), "output"};
  if (is_bad(outputs.tokens_BTD)) return {"final norm", "output"};
  if (is_bad(outputs.pooled_BD)) return {"pool", "output"};
  if (is_bad(outputs.logits_BC)) return {"head", "logits"};
  return {"loss", "loss"};
}

Place place_of_gradient(const ViTConfig& config, const std::string& name) {
  for (const ParameterRow& row : parameter_table(config))
    if (row.name == name) return {row.unit.name(), "gradient of " + name};
  return {"unknown", "gradient norm"};
}

}  // namespace

void check_finite(const StepResult& result, int64_t step, const ModelContext& context,
                  WeightStore& store, const Batch& batch, FileOps& ops,
                  const std::filesystem::path& run_folder) {
  const bool is_loss_bad = !std::isfinite(result.loss);
  if (!is_loss_bad && std::isfinite(result.report.gradient_norm)) return;
  const Place place = is_loss_bad ? find_bad(context, store, batch.images_BCHW)
                                  : place_of_gradient(context.config, result.report.bad_tensor);
  const nlohmann::ordered_json diagnosis = {{"step", step},
                                            {"loss", concat(result.loss)},
                                            {"gradient_norm", concat(result.report.gradient_norm)},
                                            {"unit", place.unit},
                                            {"tensor", place.tensor},
                                            {"samples", batch.ids}};
  const auto path = run_folder / "diagnosis.json";
  write_text(ops, path, diagnosis.dump(1) + "\n");
  throw NumbersError("step ", step, ": ", is_loss_bad ? "the loss" : "the gradient norm",
                     " is not finite; it shows first in ", place.unit, " (", place.tensor,
                     "). See ", path.string(),
                     "; the last checkpoint is untouched. Lower optim.lr, lengthen the warm-up, or "
                     "use precision=fp32");
}

}  // namespace vit22b
