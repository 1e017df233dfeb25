#include "eval/classification.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "kernels/loss.h"
#include "metrics/classification.h"

namespace vit22b {
namespace {

constexpr int64_t kEceBins = 15;  // robustness_metrics' default

void check_labels(const at::Tensor& labels_B, int64_t num_classes, const Batch& batch) {
  const at::Tensor bad = labels_B.ge(num_classes).nonzero();
  if (bad.numel() == 0) return;
  const auto first = static_cast<size_t>(bad[0].item<int64_t>());
  throw DataError(batch.ids.at(first), ": label ",
                  labels_B[static_cast<int64_t>(first)].item<int64_t>(), ", but the model has ",
                  num_classes, " classes");
}

}  // namespace

at::Tensor classification_loss(const std::string& loss, const at::Tensor& logits_BC,
                               const at::Tensor& labels_B) {
  const at::Tensor targets = at::one_hot(labels_B, logits_BC.size(1)).to(at::kFloat);
  return loss == "softmax" ? softmax_cross_entropy(logits_BC, targets)
                           : sigmoid_cross_entropy(logits_BC, targets);
}

ClassificationResult evaluate_classification(Predictor& predictor, const DataSource& source,
                                             const Transforms& transforms,
                                             const EvalOptions& options) {
  const at::NoGradGuard no_grad;
  BatchLoader loader(source, transforms,
                     {.batch_size = std::min(options.batch_size, source.size()),
                      .num_workers = options.num_workers,
                      .is_training = false,
                      .max_bad_fraction = options.max_bad_fraction});
  std::vector<at::Tensor> logits, labels, losses;
  int64_t done = 0;
  for (Batch batch; loader.next(batch);) {
    if (options.should_stop()) throw Stopped("stopped during an evaluation; nothing of it is kept");
    if (!batch.images_BCHW.defined()) continue;
    logits.push_back(predictor.logits(batch.images_BCHW).cpu());
    check_labels(batch.labels_B, logits.back().size(1), batch);
    labels.push_back(batch.labels_B);
    losses.push_back(classification_loss(options.loss, logits.back(), batch.labels_B));
    done += batch.labels_B.numel();
    options.on_progress(done);
  }
  ClassificationResult result;
  result.bad_samples = loader.bad_samples();
  if (logits.empty()) throw DataError("no sample could be read; nothing to evaluate");
  const at::Tensor logits_NC = at::cat(logits), labels_N = at::cat(labels);
  result.num_examples = labels_N.numel();
  result.top1 = metrics::top_k_accuracy(logits_NC, labels_N, 1);
  result.top5 = metrics::top_k_accuracy(logits_NC, labels_N, 5);
  result.loss = at::cat(losses).to(at::kDouble).mean().item<double>();
  result.nll = metrics::negative_log_likelihood(logits_NC, labels_N);
  result.calibration = metrics::calibration_bins(logits_NC, labels_N, kEceBins);
  result.ece = metrics::expected_calibration_error(result.calibration);
  result.confusion = metrics::confusion_matrix(logits_NC, labels_N);
  return result;
}

std::string to_json_text(const ClassificationResult& r,
                         const std::vector<std::string>& label_names) {
  // NaN becomes null: JSON has none.
  const auto number = [](double value) {
    return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
  };
  nlohmann::ordered_json bins = nlohmann::ordered_json::array();
  for (const auto& bin : r.calibration)
    bins.push_back({{"count", bin.count},
                    {"accuracy", number(bin.accuracy)},
                    {"confidence", number(bin.confidence)}});
  nlohmann::ordered_json bad = nlohmann::ordered_json::array();
  for (const BadSample& sample : r.bad_samples)
    bad.push_back({{"id", sample.id}, {"reason", sample.reason}});
  return nlohmann::ordered_json{{"top1", number(r.top1)}, {"top5", number(r.top5)},
                                {"loss", number(r.loss)}, {"nll", number(r.nll)},
                                {"ece", number(r.ece)},   {"num_examples", r.num_examples},
                                {"bad_samples", bad},     {"label_names", label_names},
                                {"calibration", bins},    {"confusion", r.confusion}}
             .dump(1) +
         "\n";
}

}  // namespace vit22b
