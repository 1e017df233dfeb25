#include "train/tasks/class_loss.h"
#include "train/tasks/tasks.h"

namespace vit22b {
namespace {

/// Image classification with the sigmoid (the paper's) or softmax loss on integer labels. Both are
/// linear in the targets, so that mixed images have mixed losses.
class Classify : public Task {
 public:
  Classify(std::string loss, int64_t num_classes)
      : loss_(std::move(loss)), num_classes_(num_classes) {}

  TaskLoss loss(const TowerOutputs& towers, const Batch& batch, const Mesh& mesh) const override {
    const VitOutputs& outputs = towers.main;
    const ClassLoss own = class_loss(loss_, outputs.logits_BC, batch.labels_B, num_classes_, mesh);
    if (!batch.mixed_labels_B.defined()) return {own.loss, {.logits_BC = own.gradient_BC}};
    const ClassLoss other =
        class_loss(loss_, outputs.logits_BC, batch.mixed_labels_B, num_classes_, mesh);
    return {at::lerp(other.loss, own.loss, batch.share),
            {.logits_BC = at::lerp(other.gradient_BC, own.gradient_BC, batch.share)}};
  }

  std::map<std::string, double> validate(const TowerPredictors& towers, const DataSource& source,
                                         const Transforms& transforms,
                                         const EvalOptions& options) const override {
    return classification_metrics(towers.main, source, transforms, options);
  }

 private:
  std::string loss_;
  int64_t num_classes_;
};

}  // namespace

std::map<std::string, double> classification_metrics(Predictor& predictor, const DataSource& source,
                                                     const Transforms& transforms,
                                                     const EvalOptions& options) {
  const ClassificationResult r = evaluate_classification(predictor, source, transforms, options);
  return {{"accuracy", r.top1}, {"loss", r.loss}, {"nll", r.nll}, {"ece", r.ece}};
}

std::unique_ptr<Task> make_classify(const TrainConfig& config) {
  return std::make_unique<Classify>(config.loss, config.model.num_classes);
}

std::unique_ptr<Task> make_task(const TrainConfig& config, const Device& device) {
  if (config.task == "distill") return make_distill(config, device);
  if (config.task == "lit") return make_lit(config, device);
  return make_classify(config);
}

}  // namespace vit22b
