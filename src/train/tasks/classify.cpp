#include "eval/classification.h"
#include "train/task.h"
#include "train/tasks/class_loss.h"

namespace vit22b {
namespace {

/// Image classification with the sigmoid (the paper's) or softmax loss on integer labels.
class Classify : public Task {
 public:
  Classify(std::string loss, int64_t num_classes)
      : loss_(std::move(loss)), num_classes_(num_classes) {}

  TaskLoss loss(const VitOutputs& outputs, const at::Tensor& labels_B,
                const Mesh& mesh) const override {
    const ClassLoss result = class_loss(loss_, outputs.logits_BC, labels_B, num_classes_, mesh);
    return {result.loss, {.logits_BC = result.gradient_BC}};
  }

  std::map<std::string, double> validate(Predictor& predictor, const DataSource& source,
                                         const Transforms& transforms,
                                         const EvalOptions& options) const override {
    const ClassificationResult r = evaluate_classification(predictor, source, transforms, options);
    return {{"accuracy", r.top1}, {"loss", r.loss}, {"nll", r.nll}, {"ece", r.ece}};
  }

 private:
  std::string loss_;
  int64_t num_classes_;
};

}  // namespace

std::unique_ptr<Task> make_task(const TrainConfig& config) {
  return std::make_unique<Classify>(config.loss, config.model.num_classes);
}

}  // namespace vit22b
