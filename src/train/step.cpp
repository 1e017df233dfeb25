#include "train/step.h"

#include <algorithm>

#include "core/trace.h"
#include "store/tower_view.h"

namespace vit22b {

at::Tensor model_input(const ViTConfig& config, const Batch& batch) {
  return config.reads_words() ? batch.fields.at("text") : batch.images_BCHW();
}

namespace {

/// One tower's passes over a piece of a batch.
class TowerPass {
 public:
  TowerPass(const ModelContext& context, const TrainedTowers& towers, Tower tower,
            const StepContext& step)
      : context_(context), store_(towers.store, tower), sink_(towers.sink, tower) {
    context_.noise = {step.seed, step.step};
  }

  /// Nothing for a batch without input: the task has what it needs of it.
  VitOutputs forward(const Batch& batch, const std::set<int64_t>& taps = {},
                     bool is_of_pooled = true) {
    const at::Tensor input = model_input(context_.config, batch);
    if (!input.defined()) return {};
    has_input_ = true;
    return vit_forward(context_, store_, input,
                       {.taps = taps,
                        .tape = &tape_,
                        .sink = &sink_,
                        .keeps_members = true,
                        .is_of_tokens = !is_of_pooled});
  }
  void backward(const VitOutputGrads& gradients) {
    const bool is_reached = gradients.logits_BC.defined() || gradients.pooled_BD.defined() ||
                            gradients.tokens_BTD.defined() || !gradients.blocks.empty();
    if (has_input_ && is_reached) vit_backward(context_, store_, tape_, gradients, &sink_);
  }

 private:
  ModelContext context_;
  TowerStore store_;
  TowerSink sink_;
  VitTape tape_;
  bool has_input_ = false;
};

constexpr Unit kOwnUnit{UnitKind::kTask};

void commit_own(GradientSink& sink, const NamedTensors& gradients) {
  if (gradients.empty() || sink.trained(kOwnUnit).empty()) return;
  UnitGrads& grads = sink.begin(kOwnUnit);
  for (auto& [name, target] : grads.tensors) {
    const auto it = gradients.find(name);
    if (it != gradients.end())
      grads.is_overwrite ? target.copy_(it->second) : target.add_(it->second);
    else if (grads.is_overwrite)
      target.zero_();
  }
  sink.commit(kOwnUnit);
}

bool is_main_trained(const TrainedTowers& towers) {
  const std::vector<Unit> units = model_units(towers.main.config);
  return std::any_of(units.begin(), units.end(),
                     [&](const Unit& unit) { return !towers.sink.trained(unit).empty(); });
}

/// The task's loss of what the towers gave.
TaskLoss loss_of(const Task& task, const TrainedTowers& towers, TowerOutputs& outputs,
                 const Batch& batch) {
  std::optional<UnitLease> own;
  if (towers.has_own_weights) {
    own.emplace(towers.store.acquire(kOwnUnit, Pass::kForward));
    outputs.own = own->weights();
    outputs.own_trained = towers.sink.trained(kOwnUnit);
  }
  TaskLoss loss = task.loss(outputs, batch, towers.main.mesh);
  outputs.own.clear();
  return loss;
}

}  // namespace

StepResult run_step(const TrainedTowers& towers, const Task& task, const StepWork& work) {
  const Mesh& mesh = towers.main.mesh;
  GradientSink& sink = towers.sink;
  StepContext step = work.step;
  at::Tensor loss_sum;
  const std::vector<Batch> batches = work.batch.pieces(work.accumulate);
  const auto pieces = static_cast<double>(batches.size());
  const auto ranks = static_cast<double>(mesh.size(MeshAxis::kAll));
  step.gradient_scale = 1 / (pieces * static_cast<double>(mesh.size(MeshAxis::kData)));
  at::Tensor agreed;
  for (size_t piece = 0; piece < batches.size(); ++piece) {
    const bool is_last = piece + 1 == batches.size();
    for (const StepPhase phase : is_last ? sink.phases() : std::vector{StepPhase::kUpdate}) {
      TowerPass main(towers.main, towers, Tower::kMain, step);
      std::optional<TowerPass> image;
      if (towers.image) image.emplace(*towers.image, towers, Tower::kImage, step);
      std::optional<TraceSpan> span(std::in_place, TraceLane::kCompute, "forward");
      TowerOutputs outputs;
      if (image) outputs.image = image->forward(batches[piece]);
      outputs.key = {step.seed, step.step};
      outputs.is_main_trained = is_main_trained(towers);
      outputs.main = main.forward(batches[piece], task.taps(), task.is_of_pooled());
      const TaskLoss loss = loss_of(task, towers, outputs, batches[piece]);
      if (!agreed.defined()) loss_sum = loss_sum.defined() ? loss_sum + loss.loss : loss.loss;
      if (is_last && !agreed.defined()) {
        // On the model axis all ranks have the same loss; the stop flag is any rank's.
        agreed = at::stack({loss_sum.to(at::kDouble) / pieces,
                            at::full_like(loss_sum, work.is_stop_asked ? 1 : 0, at::kDouble)});
        mesh.sum_(agreed, MeshAxis::kAll, "loss");
        step.loss = agreed.slice(0, 0, 1) / ranks;
      }
      if (is_last) sink.begin_phase(phase, step);
      span.emplace(TraceLane::kCompute, "backward");
      commit_own(sink, loss.own_gradients);
      main.backward(loss.gradients);
      if (image) image->backward(loss.image_gradients);
    }
  }
  StepResult result;
  const TraceSpan span(TraceLane::kCompute, "update");
  result.report = sink.finish(step);  // waits for the device, after which these do not
  result.loss = step.loss.item<double>();
  result.should_stop = agreed[1].item<double>() > 0;
  return result;
}

}  // namespace vit22b
