#include "measure/evaluators/calibration.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/error.h"
#include "measure/defined_number.h"
#include "measure/judged_answers.h"
#include "metrics/undefined.h"

namespace vit22b {
namespace {

using Form = ResultTable::Form;

constexpr int64_t kWidthBins = 15;         // robustness_metrics' default
constexpr int64_t kMassBins = 100;         // Minderer et al. 2021
constexpr int64_t kMostDecomposed = 2048;  // classes: of more a square of sums has no room
constexpr uint64_t kFloorSeed = 0;         // of the draws of the floor

/// What sums over samples tell of whole distributions.
class DistributionSums {
 public:
  void add(const at::Tensor& logits_BC, const at::Tensor& labels_B,
           const std::vector<metrics::Answer>& answers) {
    num_classes_ = logits_BC.size(1);
    const int64_t rows = metrics::rows_at_a_time(num_classes_);
    for (int64_t first = 0; first < labels_B.size(0); first += rows) {
      const int64_t count = std::min(rows, labels_B.size(0) - first);
      add_rows(at::softmax(logits_BC.narrow(0, first, count).to(at::kDouble), 1),
               labels_B.narrow(0, first, count));
    }
    for (const metrics::Answer& answer : answers) nll_ += answer.nll;
  }

  /// Adds up all ranks' sums; every rank calls it.
  void sum_over(const Mesh& mesh) {
    num_classes_ = std::llround(mesh.max(static_cast<double>(num_classes_), MeshAxis::kData));
    make_memory();
    at::Tensor numbers = at::tensor({count_, nll_, brier_, squares_}, at::kDouble);
    for (at::Tensor* sums : {&numbers, &bins_C3_, &counts_CC_, &probabilities_CC_})
      if (sums->defined()) mesh.sum_(*sums, MeshAxis::kData, "calibration");
    const double* n = numbers.const_data_ptr<double>();
    count_ = n[0], nll_ = n[1], brier_ = n[2], squares_ = n[3];
  }

  double count() const { return count_; }
  double nll() const { return nll_ / count_; }
  double brier() const { return brier_ / count_; }

  /// The mean over the classes of the calibration error of each class's own probability.
  double classwise_error() const {
    const at::Tensor error = (bins_C3_.select(2, 1) - bins_C3_.select(2, 2)).abs().sum(1);
    return (error / count_).mean().item<double>();
  }

  /// The Brier score's parts, of groups of samples with the same prediction; NaN for so many
  /// classes that they are not kept.
  struct BrierParts {
    double uncertainty = metrics::kUndefined, resolution = metrics::kUndefined,
           reliability = metrics::kUndefined;
  };
  BrierParts brier_parts() const {
    if (!counts_CC_.defined()) return {};
    const at::Tensor of_group = counts_CC_.sum(1), weight = of_group / count_;
    const at::Tensor base = counts_CC_.sum(0) / count_;
    const at::Tensor labels = counts_CC_ / of_group.clamp_min(1).unsqueeze(1);
    const double uncertainty = 1 - base.square().sum().item<double>();
    const double resolution = (weight * (labels - base).square().sum(1)).sum().item<double>();
    // |p - d|^2 summed over a group's samples, d being their labels' shares.
    const double cross = (labels * probabilities_CC_).sum().item<double>(),
                 of_labels = (of_group * labels.square().sum(1)).sum().item<double>();
    return {uncertainty, resolution, (squares_ - 2 * cross + of_labels) / count_};
  }

 private:
  void make_memory() {
    if (bins_C3_.defined() || num_classes_ == 0) return;
    bins_C3_ = at::zeros({num_classes_, kWidthBins, 3}, at::kDouble);
    if (num_classes_ > kMostDecomposed) return;
    counts_CC_ = at::zeros({num_classes_, num_classes_}, at::kDouble);
    probabilities_CC_ = at::zeros({num_classes_, num_classes_}, at::kDouble);
  }

  void add_rows(const at::Tensor& p_BC, const at::Tensor& labels_B) {
    make_memory();
    const int64_t rows = p_BC.size(0);
    count_ += static_cast<double>(rows);
    const at::Tensor truth_BC = at::one_hot(labels_B, num_classes_).to(at::kDouble);
    brier_ += (p_BC - truth_BC).square().sum().item<double>();
    squares_ += p_BC.square().sum().item<double>();
    add_bins(p_BC.contiguous(), labels_B.contiguous());
    if (!counts_CC_.defined()) return;
    const at::Tensor prediction_B = p_BC.argmax(1);
    probabilities_CC_.index_add_(0, prediction_B, p_BC);
    counts_CC_.index_add_(0, prediction_B, truth_BC);
  }

  void add_bins(const at::Tensor& p_BC, const at::Tensor& labels_B) {
    const auto* p = p_BC.const_data_ptr<double>();
    const auto* labels = labels_B.const_data_ptr<int64_t>();
    auto* bins = bins_C3_.mutable_data_ptr<double>();
    for (int64_t i = 0; i < labels_B.size(0); ++i)
      for (int64_t c = 0; c < num_classes_; ++c, ++p) {
        const auto place = std::min<int64_t>(kWidthBins - 1, static_cast<int64_t>(*p * kWidthBins));
        double* bin = bins + (c * kWidthBins + place) * 3;
        bin[0] += 1;
        bin[1] += labels[i] == c ? 1 : 0;
        bin[2] += *p;
      }
  }

  int64_t num_classes_ = 0;
  double count_ = 0, nll_ = 0, brier_ = 0, squares_ = 0;
  at::Tensor bins_C3_;           ///< [C, bins, (count, is the label, probability)]
  at::Tensor counts_CC_;         ///< [prediction, label]
  at::Tensor probabilities_CC_;  ///< [prediction, class]
};

ResultNumber share(std::string name, double value, Better better = Better::kSmaller) {
  return {{std::move(name), "share", better}, value};
}

ResultTable reliability_table(const std::vector<metrics::CalibrationBin>& bins,
                              const std::vector<metrics::Interval>& bands) {
  ResultTable table{
      "reliability", Form::kRecords, {"count", "accuracy", "confidence", "low", "high"}, {}};
  for (size_t i = 0; i < bins.size(); ++i)
    table.rows.push_back(
        {bins[i].count, bins[i].accuracy, bins[i].confidence, bands[i].low, bands[i].high});
  return table;
}

class Calibration : public Evaluator {
 public:
  explicit Calibration(EvaluatorOptions options) : options_(std::move(options)) {}

  void add(const PredictedBatch& batch) override {
    const std::vector<metrics::Answer> answers =
        metrics::answers_of(batch.logits_BC, batch.labels_B);
    answers_.add(answers);
    sums_.add(batch.logits_BC, batch.labels_B, answers);
  }

  Result finish(const Mesh& mesh) override {
    sums_.sum_over(mesh);
    const std::vector<metrics::Judged> sorted = metrics::by_confidence(answers_.all(mesh));
    const metrics::PerfectCalibration perfect =
        metrics::perfect_calibration(sorted, kWidthBins, kMassBins, kFloorSeed);
    Result result{"calibration", {{"probabilities", probabilities_text(options_)}}, {}};
    add_errors(sorted, perfect, result);
    add_scores(result);
    result.numbers.push_back({{"num_examples", "images"}, sums_.count(), {}, /*is_count=*/true});
    result.tables = {
        reliability_table(metrics::equal_width_bins(sorted, kWidthBins), perfect.bands)};
    return result;
  }

 private:
  void add_errors(const std::vector<metrics::Judged>& sorted,
                  const metrics::PerfectCalibration& perfect, Result& result) const {
    double right = 0, confidence = 0;
    for (const metrics::Judged& answer : sorted) {
      right += answer.right;
      confidence += answer.confidence;
    }
    add_defined(result, share("top1", right / sums_.count(), Better::kLarger),
                "share of right answers");
    add_defined(result, share("confidence", confidence / sums_.count(), Better::kLarger),
                "mean probability of the answer; above top1 is overconfident");
    const double width = metrics::expected_calibration_error(
                     metrics::equal_width_bins(sorted, kWidthBins)),
                 mass = metrics::expected_calibration_error(
                     metrics::equal_mass_bins(sorted, kMassBins));
    add_defined(result, share("ece_15", width),
                "answer's probability, 15 bins of equal width, half-open");
    ResultNumber floor = share("ece_15_floor", perfect.equal_width.mean);
    floor.interval = perfect.equal_width.range;
    add_defined(result, floor, "what perfect calibration reads of as many samples");
    add_defined(result, share("ece_100_equal_mass", mass),
                "answer's probability, 100 bins of as many samples each, L1");
    floor = share("ece_100_equal_mass_floor", perfect.equal_mass.mean);
    floor.interval = perfect.equal_mass.range;
    add_defined(result, floor, "what perfect calibration reads of as many samples");
    add_defined(result, share("ece_classwise_15", sums_.classwise_error()),
                "every class's probability, 15 bins of equal width, mean over the classes");
    const metrics::SweptError swept = metrics::sweep_calibration_error(sorted);
    add_defined(result, share("ece_sweep", swept.error),
                concat("answer's probability, the most bins of as many samples with rising "
                       "accuracy: ",
                       swept.num_bins));
  }

  void add_scores(Result& result) const {
    add_defined(result, {{"nll", "nats", Better::kSmaller}, sums_.nll()},
                "mean of -log p of the label");
    add_defined(result, {{"brier", "", Better::kSmaller}, sums_.brier()},
                "mean over samples of the sum over classes of (p - truth)^2, without 1/2");
    const auto parts = sums_.brier_parts();
    add_defined(result, {{"brier_uncertainty", "", Better::kSmaller}, parts.uncertainty},
                "1 - sum of squared class shares");
    add_defined(result, {{"brier_resolution", "", Better::kLarger}, parts.resolution},
                "of samples with one prediction: their labels' shares from all samples'");
    add_defined(result, {{"brier_reliability", "", Better::kSmaller}, parts.reliability},
                "of samples with one prediction: probabilities from their labels' shares");
  }

  EvaluatorOptions options_;
  JudgedAnswers answers_;
  DistributionSums sums_;
};

}  // namespace

std::unique_ptr<Evaluator> make_calibration(const EvaluatorOptions& options) {
  return std::make_unique<Calibration>(options);
}

}  // namespace vit22b
