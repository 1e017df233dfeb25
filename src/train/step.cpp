#include "train/step.h"

#include <optional>

#include "core/trace.h"

namespace vit22b {

const at::Tensor& model_input(const ViTConfig& config, const Batch& batch) {
  return config.reads_words() ? batch.fields.at("text") : batch.images_BCHW;
}

StepResult run_step(const ModelContext& context, WeightStore& store, GradientSink& sink,
                    const Task& task, const StepWork& work) {
  StepContext step = work.step;
  at::Tensor loss_sum;
  const std::vector<Batch> batches = work.batch.pieces(work.accumulate);
  const auto pieces = static_cast<double>(batches.size());
  const auto ranks = static_cast<double>(context.mesh.size(MeshAxis::kAll));
  step.gradient_scale = 1 / (pieces * static_cast<double>(context.mesh.size(MeshAxis::kData)));
  at::Tensor agreed;
  for (size_t piece = 0; piece < batches.size(); ++piece) {
    const bool is_last = piece + 1 == batches.size();
    for (const StepPhase phase : is_last ? sink.phases() : std::vector{StepPhase::kUpdate}) {
      VitTape tape;
      std::optional<TraceSpan> span(std::in_place, TraceLane::kCompute, "forward");
      const VitOutputs outputs =
          vit_forward(context, store, model_input(context.config, batches[piece]),
                      {.tape = &tape, .sink = &sink});
      const TaskLoss loss = task.loss(outputs, batches[piece], context.mesh);
      if (!agreed.defined()) loss_sum = loss_sum.defined() ? loss_sum + loss.loss : loss.loss;
      if (is_last && !agreed.defined()) {
        // On the model axis all ranks have the same loss; the stop flag is any rank's.
        agreed = at::stack({loss_sum.to(at::kDouble) / pieces,
                            at::full_like(loss_sum, work.is_stop_asked ? 1 : 0, at::kDouble)});
        context.mesh.sum_(agreed, MeshAxis::kAll, "loss");
        step.loss = agreed.slice(0, 0, 1) / ranks;
      }
      if (is_last) sink.begin_phase(phase, step);
      span.emplace(TraceLane::kCompute, "backward");
      vit_backward(context, store, tape, loss.gradients, &sink);
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
