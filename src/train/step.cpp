#include "train/step.h"

#include <optional>

#include "core/trace.h"

namespace vit22b {

StepResult run_step(const ModelContext& context, WeightStore& store, GradientSink& sink,
                    const Task& task, const StepWork& work) {
  StepContext step = work.step;
  at::Tensor loss_sum;
  const auto images = work.batch.images_BCHW.chunk(work.accumulate),
             labels = work.batch.labels_B.chunk(work.accumulate);
  for (size_t piece = 0; piece < images.size(); ++piece) {
    VitTape tape;
    std::optional<TraceSpan> span(std::in_place, TraceLane::kCompute, "forward");
    const VitOutputs outputs =
        vit_forward(context, store, images[piece], {.tape = &tape, .sink = &sink});
    const TaskLoss loss = task.loss(outputs, labels[piece], context.mesh);
    span.emplace(TraceLane::kCompute, "backward");
    vit_backward(context, store, tape, loss.gradients, &sink);
    loss_sum = loss_sum.defined() ? loss_sum + loss.loss : loss.loss;
  }
  const auto pieces = static_cast<double>(images.size());
  const auto ranks = static_cast<double>(context.mesh.size(MeshAxis::kAll));
  // On the model axis all ranks have the same loss; the stop flag is any rank's.
  at::Tensor agreed = at::stack({loss_sum.to(at::kDouble) / pieces,
                                 at::full_like(loss_sum, work.is_stop_asked ? 1 : 0, at::kDouble)});
  context.mesh.sum_(agreed, MeshAxis::kAll, "loss");
  step.gradient_scale = 1 / (pieces * static_cast<double>(context.mesh.size(MeshAxis::kData)));
  step.loss = agreed.slice(0, 0, 1) / ranks;
  StepResult result;
  const TraceSpan span(TraceLane::kCompute, "update");
  result.report = sink.finish(step);  // waits for the device, after which these do not
  result.loss = step.loss.item<double>();
  result.should_stop = agreed[1].item<double>() > 0;
  return result;
}

}  // namespace vit22b
