#include "train/step.h"

namespace vit22b {

StepResult run_step(const ModelContext& context, WeightStore& store, GradientSink& sink,
                    const Task& task, const Batch& batch, int64_t accumulate, bool is_stop_asked,
                    StepContext step) {
  at::Tensor loss_sum;
  const auto images = batch.images_BCHW.chunk(accumulate),
             labels = batch.labels_B.chunk(accumulate);
  for (size_t piece = 0; piece < images.size(); ++piece) {
    VitTape tape;
    const VitOutputs outputs =
        vit_forward(context, store, images[piece], {.tape = &tape, .sink = &sink});
    const TaskLoss loss = task.loss(outputs, labels[piece]);
    vit_backward(context, store, tape, loss.gradients, &sink);
    loss_sum = loss_sum.defined() ? loss_sum + loss.loss : loss.loss;
  }
  const auto pieces = static_cast<double>(images.size());
  const auto ranks = static_cast<double>(context.mesh.size(MeshAxis::kData));
  // .item() waits for the device: once a step, for the guard against a loss that is not finite.
  at::Tensor agreed =
      at::tensor({loss_sum.item<double>() / pieces, is_stop_asked ? 1.0 : 0.0}, at::kDouble);
  context.mesh.sum_(agreed, MeshAxis::kData);
  StepResult result{agreed[0].item<double>() / ranks, agreed[1].item<double>() > 0, {}};
  step.gradient_scale = 1 / (pieces * ranks);
  if (std::isfinite(result.loss)) result.report = sink.finish(step);
  return result;
}

}  // namespace vit22b
