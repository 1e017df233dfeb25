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
  at::Tensor agreed = at::stack({loss_sum.to(at::kDouble) / pieces,
                                 at::full_like(loss_sum, is_stop_asked ? 1 : 0, at::kDouble)});
  context.mesh.sum_(agreed, MeshAxis::kData);
  step.gradient_scale = 1 / (pieces * ranks);
  step.loss = agreed.slice(0, 0, 1) / ranks;
  StepResult result;
  result.report = sink.finish(step);  // waits for the device, after which these do not
  result.loss = step.loss.item<double>();
  result.should_stop = agreed[1].item<double>() > 0;
  return result;
}

}  // namespace vit22b
