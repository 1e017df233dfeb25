#include "measure/registry.h"
#include "train/tasks/class_loss.h"
#include "train/tasks/tasks.h"

namespace vit22b {
namespace {

/// Image classification with the sigmoid (the paper's) or softmax loss on integer labels. Both are
/// linear in the targets, so that mixed images have mixed losses.
class Classify : public Task {
 public:
  void prepare(const TrainConfig& config, const Device&) override {
    loss_ = config.loss;
    num_classes_ = config.model.num_classes;
    members_ = config.model.plex.members();
  }

  std::optional<Batch> made_up(const TrainConfig& config, int64_t images) const override {
    return batch_of(
        made_up_images(config.model, images),
        at::arange(images, at::kLong).remainder(std::max<int64_t>(1, config.model.num_classes)));
  }

  TaskLoss loss(const TowerOutputs& towers, const Batch& batch, const Mesh& mesh) const override {
    const VitOutputs& outputs = towers.main;
    // Every member of an ensemble learns every image.
    const auto loss_of = [&](const at::Tensor& labels_B) {
      return class_loss(loss_, outputs.logits_BC, labels_B.repeat({members_}), num_classes_, mesh);
    };
    const ClassLoss own = loss_of(batch.labels_B);
    if (!batch.mixed_labels_B.defined()) return {own.loss, {.logits_BC = own.gradient_BC}};
    const ClassLoss other = loss_of(batch.mixed_labels_B);
    return {at::lerp(other.loss, own.loss, batch.share),
            {.logits_BC = at::lerp(other.gradient_BC, own.gradient_BC, batch.share)}};
  }

  std::vector<Metric> metrics() const override { return classification_metrics(); }

  std::map<std::string, double> validate(const TowerPredictors& towers, const DataSource& source,
                                         const Transforms& transforms,
                                         const Validation& validation) const override {
    return classification_values(towers.main, source, transforms, validation);
  }

 private:
  std::string loss_;
  int64_t num_classes_ = 0, members_ = 1;
};

class ClassifyOptions : public TaskOptions {
 public:
  const char* name() const override { return "classify"; }
  std::unique_ptr<TaskOptions> copy() const override {
    return std::make_unique<ClassifyOptions>(*this);
  }
  std::unique_ptr<Task> make() const override { return std::make_unique<Classify>(); }
};

}  // namespace

std::vector<Metric> classification_metrics() {
  return {{"accuracy", "share", Better::kLarger},
          {"loss", "nats", Better::kSmaller},
          {"nll", "nats", Better::kSmaller},
          {"ece", "share", Better::kSmaller}};
}

std::map<std::string, double> classification_values(Predictor& predictor, const DataSource& source,
                                                    const Transforms& transforms,
                                                    const Validation& validation) {
  Evaluators evaluators;
  evaluators.push_back(make_evaluator("classification", validation.of));
  for (const std::string& name : validation.evaluators)
    evaluators.push_back(make_evaluator(name, validation.of));
  const std::vector<Result> results =
      evaluate(predictor, source, transforms, validation.how, evaluators);
  const Result& own = results.front();
  std::map<std::string, double> values = {{"accuracy", own.number("top1")},
                                          {"loss", own.number("loss")},
                                          {"nll", own.number("nll")},
                                          {"ece", own.number("ece")}};
  for (size_t i = 1; i < results.size(); ++i)
    for (const ResultNumber& number : results[i].numbers)
      values[concat(results[i].evaluator, ".", number.metric.name)] = number.value;
  return values;
}

std::unique_ptr<TaskOptions> classify_options() {
  return std::make_unique<ClassifyOptions>();
}

}  // namespace vit22b
