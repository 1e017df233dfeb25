#include "eval/classification.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "eval/finite.h"
#include "kernels/loss.h"

namespace vit22b {
namespace {

using metrics::Answer;
using metrics::Example;

constexpr size_t kEceBins = 15;   // robustness_metrics' default
constexpr size_t kExamples = 12;  // right ones, and wrong ones

void check_labels(const at::Tensor& labels_B, int64_t num_classes, const Batch& batch) {
  const at::Tensor bad = at::logical_or(labels_B.lt(0), labels_B.ge(num_classes)).nonzero();
  if (bad.numel() == 0) return;
  const auto first = bad[0].item<int64_t>();
  const std::string& id = batch.ids.at(static_cast<size_t>(first));
  const auto label = labels_B[first].item<int64_t>();
  if (label < 0) throw DataError(id, " has no label");
  throw DataError(id, ": label ", label, ", but the model has ", num_classes, " classes");
}

/// Leaves a batch's answers to these classes alone, and numbers its labels among them.
void restrict_to(const std::vector<int64_t>& classes, at::Tensor& logits_BC, Batch& batch) {
  const at::Tensor kept = at::tensor(classes, at::kLong);
  at::Tensor place_of_class = at::full({logits_BC.size(1)}, -1, at::kLong);
  place_of_class.index_copy_(0, kept, at::arange(kept.size(0), at::kLong));
  logits_BC = logits_BC.index_select(1, kept);
  batch.labels_B = place_of_class.index_select(0, batch.labels_B);
}

/// The lists of all ranks, one after the other.
nlohmann::json gathered(const nlohmann::json& own, const Mesh& mesh) {
  nlohmann::json all = nlohmann::json::array();
  for (const std::string& text : mesh.gather_text(
           own.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), MeshAxis::kData))
    for (auto& entry : nlohmann::json::parse(text)) all.push_back(std::move(entry));
  return all;
}

}  // namespace

at::Tensor classification_loss(const std::string& loss, const at::Tensor& logits_BC,
                               const at::Tensor& labels_B) {
  const auto loss_of = [&](const at::Tensor& logits, const at::Tensor& labels) {
    const at::Tensor targets = at::one_hot(labels, logits.size(1)).to(at::kFloat);
    return loss == "softmax" ? softmax_cross_entropy(logits, targets)
                             : sigmoid_cross_entropy(logits, targets);
  };
  const int64_t rows = metrics::rows_at_a_time(logits_BC.size(1));
  const auto logits = logits_BC.split(rows), labels = labels_B.split(rows);
  std::vector<at::Tensor> losses;
  for (size_t i = 0; i < logits.size(); ++i) losses.push_back(loss_of(logits[i], labels[i]));
  return at::cat(losses);
}

namespace {

/// What is kept of the batches so far; none of it grows with the classes, but the pairs that occur.
class Sums {
 public:
  void add(std::span<const Answer> answers, const at::Tensor& losses_B) {
    loss_ += losses_B.to(at::kDouble).sum().item<double>();
    for (const Answer& answer : answers) {
      ++count_;
      top1_ += answer.is_among(1) ? 1 : 0;
      top5_ += answer.is_among(5) ? 1 : 0;
      nll_ += answer.nll;
      metrics::count_into(bins_, answer);
      confusion_.add(answer);
    }
  }

  /// Of all ranks together.
  ClassificationResult result(const Mesh& mesh) {
    at::Tensor sums = numbers();
    mesh.sum_(sums, MeshAxis::kData, "evaluation");
    const double* sum = sums.const_data_ptr<double>();
    ClassificationResult result;
    result.num_examples = std::llround(sum[0]);
    result.top1 = sum[1] / sum[0];
    result.top5 = sum[2] / sum[0];
    result.loss = sum[3] / sum[0];
    result.nll = sum[4] / sum[0];
    for (size_t i = 0; i < bins_.size(); ++i)
      bins_[i] = {sum[5 + 3 * i], sum[6 + 3 * i], sum[7 + 3 * i]};
    result.calibration = metrics::calibration_bins(bins_);
    result.ece = metrics::expected_calibration_error(result.calibration);
    result.confusion = all_pairs(mesh);
    return result;
  }

 private:
  /// Everything that ranks add, in one vector.
  at::Tensor numbers() const {
    std::vector<double> sums = {count_, top1_, top5_, loss_, nll_};
    for (const metrics::BinSums& bin : bins_)
      sums.insert(sums.end(), {bin.count, bin.right, bin.confidence});
    return at::tensor(sums, at::kDouble);
  }

  metrics::Confusion all_pairs(const Mesh& mesh) const {
    if (mesh.size(MeshAxis::kData) == 1) return confusion_;
    nlohmann::json own = nlohmann::json::array();
    for (const auto& [pair, count] : confusion_.counts())
      own.push_back({pair.first, pair.second, count});
    metrics::Confusion all;
    for (const auto& e : gathered(own, mesh))
      all.add({{e[0].get<int64_t>(), e[1].get<int64_t>()}, e[2].get<int64_t>()});
    return all;
  }

  double count_ = 0, top1_ = 0, top5_ = 0, loss_ = 0, nll_ = 0;
  std::vector<metrics::BinSums> bins_ = std::vector<metrics::BinSums>(kEceBins);
  metrics::Confusion confusion_;
};

std::vector<Example> all_examples(const std::vector<Example>& own, const Mesh& mesh) {
  if (mesh.size(MeshAxis::kData) == 1) return own;
  nlohmann::json list = nlohmann::json::array();
  for (const Example& e : own)
    list.push_back({e.sample, e.id, e.label, e.prediction, e.probability});
  std::vector<Example> all;
  for (const auto& e : gathered(list, mesh))
    all.push_back({e[0].get<int64_t>(), e[1].get<std::string>(), e[2].get<int64_t>(),
                   e[3].get<int64_t>(), e[4].get<double>()});
  return metrics::surest_examples(std::move(all), kExamples);
}

}  // namespace

ClassificationResult evaluate_classification(Predictor& predictor, const DataSource& source,
                                             const Transforms& transforms,
                                             const EvalOptions& options) {
  const at::NoGradGuard no_grad;
  const Mesh& mesh = mesh_of(options);
  Sums sums;
  int64_t num_classes = 0;
  std::vector<Example> examples;
  const auto act = [&](Batch& batch) {
    const bool has_images = batch.images_BCHW().defined();
    at::Tensor logits_BC;
    if (has_images)
      logits_BC = predictor.logits(batch.images_BCHW()).cpu();
    else if (mesh.size(MeshAxis::kAll) > 1)
      predictor.attend();
    mesh.agree([&] {
      if (!has_images) return;
      check_finite(logits_BC, "logits", batch.ids);
      check_labels(batch.labels_B, logits_BC.size(1), batch);
      if (options.classes.empty()) return;
      restrict_to(options.classes, logits_BC, batch);
      check_labels(batch.labels_B, logits_BC.size(1), batch);
    });
    if (!has_images) return;
    num_classes = logits_BC.size(1);
    const std::vector<Answer> answers = metrics::answers_of(logits_BC, batch.labels_B);
    sums.add(answers, classification_loss(options.loss, logits_BC, batch.labels_B));
    for (Example& example : metrics::examples_of(answers, batch.indices_B, batch.ids))
      examples.push_back(std::move(example));
    examples = metrics::surest_examples(std::move(examples), kExamples);
  };
  std::vector<BadSample> bad_samples = for_each_batch(source, transforms, options, act);
  ClassificationResult result = sums.result(mesh);
  result.num_classes = std::llround(mesh.max(static_cast<double>(num_classes), MeshAxis::kData));
  result.bad_samples = std::move(bad_samples);
  result.examples = all_examples(examples, mesh);
  return result;
}

}  // namespace vit22b
