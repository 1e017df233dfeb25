#include "eval/classification.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/error.h"
#include "eval/finite.h"
#include "kernels/loss.h"
#include "metrics/classification.h"

namespace vit22b {
namespace {

using metrics::Example;

constexpr int64_t kEceBins = 15;  // robustness_metrics' default
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

}  // namespace

at::Tensor classification_loss(const std::string& loss, const at::Tensor& logits_BC,
                               const at::Tensor& labels_B) {
  const at::Tensor targets = at::one_hot(labels_B, logits_BC.size(1)).to(at::kFloat);
  return loss == "softmax" ? softmax_cross_entropy(logits_BC, targets)
                           : sigmoid_cross_entropy(logits_BC, targets);
}

namespace {

/// Everything that ranks add: counts and sums over images, bins and confusion counts, in one
/// float64 vector.
at::Tensor local_sums(const at::Tensor& logits_NC, const at::Tensor& labels_N,
                      const at::Tensor& losses_N) {
  const auto count = static_cast<double>(labels_N.numel());
  std::vector<double> sums = {count, count * metrics::top_k_accuracy(logits_NC, labels_N, 1),
                              count * metrics::top_k_accuracy(logits_NC, labels_N, 5),
                              losses_N.to(at::kDouble).sum().item<double>(),
                              count * metrics::negative_log_likelihood(logits_NC, labels_N)};
  for (const metrics::CalibrationBin& bin :
       metrics::calibration_bins(logits_NC, labels_N, kEceBins)) {
    const auto in_bin = static_cast<double>(bin.count);
    sums.insert(sums.end(), {in_bin, in_bin * bin.accuracy, in_bin * bin.confidence});
  }
  for (const auto& row : metrics::confusion_matrix(logits_NC, labels_N))
    sums.insert(sums.end(), row.begin(), row.end());
  return at::tensor(sums, at::kDouble);
}

/// What a rank adds that has no image.
at::Tensor no_sums(int64_t num_classes) {
  return at::zeros({5 + 3 * kEceBins + num_classes * num_classes}, at::kDouble);
}

ClassificationResult result_of(const at::Tensor& agreed, int64_t num_classes) {
  const double* sum = agreed.const_data_ptr<double>();
  ClassificationResult result;
  result.num_examples = std::llround(sum[0]);
  result.top1 = sum[1] / sum[0];
  result.top5 = sum[2] / sum[0];
  result.loss = sum[3] / sum[0];
  result.nll = sum[4] / sum[0];
  const double* bin = sum + 5;
  for (int64_t i = 0; i < kEceBins; ++i, bin += 3) {
    const double in_bin = std::max(1.0, bin[0]);
    result.calibration.push_back({std::llround(bin[0]), bin[1] / in_bin, bin[2] / in_bin});
  }
  result.ece = metrics::expected_calibration_error(result.calibration);
  for (int64_t i = 0; i < num_classes; ++i, bin += num_classes)
    result.confusion.emplace_back(bin, bin + num_classes);
  return result;
}

}  // namespace

namespace {

/// The lists of all ranks, one after the other.
nlohmann::json gathered(const nlohmann::json& own, const Mesh& mesh) {
  nlohmann::json all = nlohmann::json::array();
  for (const std::string& text : mesh.gather_text(
           own.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), MeshAxis::kData))
    for (auto& entry : nlohmann::json::parse(text)) all.push_back(std::move(entry));
  return all;
}

std::vector<BadSample> all_bad_samples(const std::vector<BadSample>& own, const Mesh& mesh) {
  if (mesh.size(MeshAxis::kData) == 1) return own;
  nlohmann::json list = nlohmann::json::array();
  for (const BadSample& sample : own) list.push_back({sample.id, sample.reason});
  std::vector<BadSample> all;
  for (const auto& sample : gathered(list, mesh))
    all.push_back({sample[0].get<std::string>(), sample[1].get<std::string>()});
  return all;
}

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
  const Mesh& mesh = options.mesh != nullptr ? *options.mesh : single_process();
  const Share share = mesh.share(MeshAxis::kData, source.size());
  std::optional<BatchLoader> loader;
  if (share.count > 0)
    loader.emplace(source, transforms,
                   LoaderOptions{.batch_size = std::min(options.batch_size, share.count),
                                 .first_index = static_cast<uint64_t>(share.first),
                                 .num_samples = share.count,
                                 .num_workers = options.num_workers,
                                 .is_training = false,
                                 .max_bad_fraction = options.max_bad_fraction});
  const auto num_batches = std::llround(
      mesh.max(loader ? static_cast<double>(loader->num_batches()) : 0, MeshAxis::kAll));
  std::vector<at::Tensor> logits, labels, losses;
  std::vector<Example> examples;
  int64_t done = 0;
  for (int64_t i = 0; i < num_batches; ++i) {
    Batch batch;
    mesh.agree([&] {
      if (loader) loader->next(batch);
    });
    if (mesh.any(options.should_stop()))
      throw Stopped("stopped during an evaluation; nothing of it is kept");
    const bool has_images = batch.images_BCHW.defined();
    if (has_images)
      logits.push_back(predictor.logits(batch.images_BCHW).cpu());
    else if (mesh.size(MeshAxis::kAll) > 1)
      predictor.attend();
    mesh.agree([&] {
      if (!has_images) return;
      check_finite(logits.back(), "logits", batch.ids);
      check_labels(batch.labels_B, logits.back().size(1), batch);
      if (options.classes.empty()) return;
      restrict_to(options.classes, logits.back(), batch);
      check_labels(batch.labels_B, logits.back().size(1), batch);
    });
    if (!has_images) continue;
    labels.push_back(batch.labels_B);
    losses.push_back(classification_loss(options.loss, logits.back(), batch.labels_B));
    for (Example& example :
         metrics::examples_of(logits.back(), batch.labels_B, batch.indices_B, batch.ids))
      examples.push_back(std::move(example));
    examples = metrics::surest_examples(std::move(examples), kExamples);
    done += batch.labels_B.numel();
    options.on_progress(done);
  }
  std::vector<BadSample> bad;
  if (loader) bad = loader->bad_samples();
  bad = all_bad_samples(bad, mesh);
  options.on_bad_samples(bad);
  if (mesh.sum(static_cast<double>(done), MeshAxis::kData) == 0)
    throw DataError("no sample could be read; nothing to evaluate");
  const int64_t num_classes = std::llround(
      mesh.max(logits.empty() ? 0 : static_cast<double>(logits[0].size(1)), MeshAxis::kData));
  at::Tensor sums = logits.empty() ? no_sums(num_classes)
                                   : local_sums(at::cat(logits), at::cat(labels), at::cat(losses));
  mesh.sum_(sums, MeshAxis::kData, "evaluation");
  ClassificationResult result = result_of(sums, num_classes);
  result.bad_samples = std::move(bad);
  result.examples = all_examples(examples, mesh);
  return result;
}

}  // namespace vit22b
