#include "eval/classification.h"
#include "train/task.h"

namespace vit22b {
namespace {

/// Image classification with the sigmoid (the paper's) or softmax loss on integer labels.
class Classify : public Task {
 public:
  explicit Classify(std::string loss) : loss_(std::move(loss)) {}

  TaskLoss loss(const VitOutputs& outputs, const at::Tensor& labels_B) const override {
    const at::AutoGradMode is_recording(true);
    at::Tensor logits = outputs.logits_BC.detach();
    logits.requires_grad_(true);
    const at::Tensor mean = classification_loss(loss_, logits, labels_B).mean();
    return {mean.detach(), {.logits_BC = torch::autograd::grad({mean}, {logits}).front()}};
  }

  std::map<std::string, double> validate(Predictor& predictor, const DataSource& source,
                                         const Transforms& transforms,
                                         const EvalOptions& options) const override {
    const ClassificationResult r = evaluate_classification(predictor, source, transforms, options);
    return {{"accuracy", r.top1}, {"loss", r.loss}, {"nll", r.nll}, {"ece", r.ece}};
  }

 private:
  std::string loss_;
};

}  // namespace

std::unique_ptr<Task> make_task(const TrainConfig& config) {
  return std::make_unique<Classify>(config.loss);
}

}  // namespace vit22b
