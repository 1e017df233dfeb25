#include "train/tasks/dense_step.h"

#include "core/text.h"
#include "data/pixel_range.h"
#include "train/tasks/unlock.h"

namespace vit22b {

DenseStep::DenseStep(const ViTConfig& model, const DenseHeadConfig& head, int64_t outputs)
    : maps_(model, head),
      head_(make_dense_head(head, {maps_.count(), maps_.width(), outputs, model.patch_size})) {
  for (const ParameterRow& row : head_->rows())
    if (row.group == ParameterGroup::kStatistic) statistics_.insert(row.local_name);
}

TaskLoss DenseStep::loss(const TowerOutputs& outputs, const Batch& batch,
                         std::vector<at::Tensor> cached_maps, const Mesh& mesh,
                         const std::function<at::Tensor(const DenseScores&)>& send_back) const {
  const at::Tensor images = batch.images_BCHW();
  const bool is_trained = images.defined() && outputs.is_main_trained;
  std::vector<at::Tensor> maps = images.defined()
                                     ? maps_.of(outputs.main, images.size(2), images.size(3), mesh)
                                     : std::move(cached_maps);
  const at::AutoGradMode is_recording(true);
  if (is_trained)
    for (at::Tensor& map : maps) map = map.detach().requires_grad_();
  NamedTensors weights = outputs.own;
  for (const std::string& name : outputs.own_trained)
    if (!is_statistic(name)) weights[name] = weights[name].detach().requires_grad_();
  TaskLoss result;
  const DensePass training{mesh, outputs.key.seed, outputs.key.step, batch.indices_B,
                           result.own_gradients};
  result.loss = send_back(head_->forward(weights, maps, &training));
  for (const std::string& name : outputs.own_trained)
    if (!is_statistic(name)) result.own_gradients[name] = weights[name].grad();
  if (!is_trained) return result;
  std::vector<at::Tensor> gradients;
  gradients.reserve(maps.size());
  for (const at::Tensor& map : maps) gradients.push_back(map.grad());
  result.gradients = maps_.gradients(outputs.main, images.size(2), images.size(3), gradients, mesh);
  return result;
}

std::string whole_view(const ViTConfig& model, const std::string& known) {
  const auto [height, width] = model.img_size;
  const std::string range = range_operation(known);
  return concat("decode|", model.in_chans == 1 ? "gray" : "rgb", "|resize(", height, ",", width,
                ",bicubic)", range.empty() ? "" : "|", range);
}

void adjust_dense_rules(const DenseHeadConfig& head, const std::string& unlock,
                        const std::string& option, const std::vector<ParameterRow>& table,
                        std::vector<ParameterRule>& rules) {
  const int64_t depth = depth_of(table, Tower::kMain);
  const int64_t last = head.blocks(depth).back();
  // Whether tune, lora or freeze have said what of the model trains.
  bool is_told_otherwise = false;
  for (size_t i = 0; i < table.size() && unlock.empty(); ++i)
    is_told_otherwise |= table[i].unit.kind != UnitKind::kTask && !rules[i].is_trained;
  const Unlock unlocked(unlock.empty() ? "none" : unlock, option);
  for (size_t i = 0; i < table.size(); ++i) {
    const Unit& unit = table[i].unit;
    if (unit.kind == UnitKind::kTask) continue;
    const bool is_above = unit.kind > UnitKind::kFinalNorm ||
                          (unit.kind == UnitKind::kBlock && unit.index > last) ||
                          (unit.kind == UnitKind::kFinalNorm && !(head.norm && last == depth - 1));
    if (is_above || (!is_told_otherwise && !unlocked.trains(unit, depth)))
      rules[i].is_trained = false;
  }
}

}  // namespace vit22b
