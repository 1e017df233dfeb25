#include "measure/evaluators/classification.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "eval/gathered.h"
#include "kernels/loss.h"
#include "measure/class_groups.h"
#include "metrics/calibration.h"
#include "metrics/classification.h"

namespace vit22b {
namespace {

using metrics::Answer;
using metrics::Example;
using Form = ResultTable::Form;

constexpr size_t kEceBins = 15;          // robustness_metrics' default
constexpr size_t kExamples = 12;         // right ones, and wrong ones
constexpr int64_t kMostOfAMatrix = 200;  // classes: a matrix of more has no readers, and no room
constexpr size_t kPairs = 1000;

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

/// What all batches of all ranks have given.
struct Totals {
  double top1 = 0, top5 = 0, loss = 0, nll = 0, ece = 0;
  int64_t num_examples = 0;
  metrics::Confusion confusion;
  std::vector<metrics::CalibrationBin> calibration;
};

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
  Totals totals(const Mesh& mesh) {
    at::Tensor sums = numbers();
    mesh.sum_(sums, MeshAxis::kData, "evaluation");
    const double* sum = sums.const_data_ptr<double>();
    Totals result;
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

/// A list of one column.
template <class Value>
ResultTable list_of(std::string name, const std::vector<Value>& values) {
  ResultTable table{std::move(name), Form::kList, {}, {}};
  for (const Value& value : values) table.rows.push_back({value});
  return table;
}

ResultTable calibration_table(const std::vector<metrics::CalibrationBin>& bins) {
  ResultTable table{"calibration", Form::kRecords, {"count", "accuracy", "confidence"}, {}};
  for (const auto& bin : bins) table.rows.push_back({bin.count, bin.accuracy, bin.confidence});
  return table;
}

ResultTable confusion_matrix(const metrics::Confusion& confusion, int64_t num_classes,
                             const std::vector<std::string>& names) {
  ResultTable table{"confusion", Form::kMatrix, {}, {}};
  table.title = "confusion (rows: truth, columns: prediction)";
  for (const std::vector<int64_t>& row : confusion.matrix(num_classes)) {
    table.rows.emplace_back(row.begin(), row.end());
    const size_t i = table.row_names.size();
    table.row_names.push_back(i < names.size() ? names[i] : std::to_string(i));
  }
  return table;
}

std::vector<ResultTable> confusion_tables(const metrics::Confusion& confusion, int64_t num_classes,
                                          const std::vector<std::string>& names) {
  if (num_classes <= kMostOfAMatrix) return {confusion_matrix(confusion, num_classes, names)};
  const metrics::Confusion::PerClass all = confusion.per_class(num_classes);
  ResultTable pairs{
      "confusion.most_confused", Form::kRecords, {"label", "prediction", "count"}, {}};
  for (const auto& [pair, count] : confusion.most_confused(kPairs))
    pairs.rows.push_back({pair.first, pair.second, count});
  return {list_of("confusion.labels", all.truths),
          list_of("confusion.predictions", all.predictions), list_of("confusion.right", all.right),
          std::move(pairs)};
}

class Classification : public Evaluator {
 public:
  explicit Classification(EvaluatorOptions options)
      : options_(std::move(options)),
        groups_(class_groups(options_.class_groups, options_.class_names)) {}

  void add(const PredictedBatch& batch) override {
    num_classes_ = batch.logits_BC.size(1);
    const std::vector<Answer> answers = metrics::answers_of(batch.logits_BC, batch.labels_B);
    sums_.add(answers, classification_loss(options_.loss, batch.logits_BC, batch.labels_B));
    for (Example& example : metrics::examples_of(answers, batch.indices_B, batch.ids))
      examples_.push_back(std::move(example));
    examples_ = metrics::surest_examples(std::move(examples_), kExamples);
  }

  Result finish(const Mesh& mesh) override {
    const Totals all = sums_.totals(mesh);
    const int64_t num_classes =
        std::llround(mesh.max(static_cast<double>(num_classes_), MeshAxis::kData));
    Result result{"classification", {}, {}};
    const auto add = [&](const char* name, const char* unit, Better better, double value) {
      result.numbers.push_back({{name, unit, better}, value});
      result.numbers.back().label = name;
    };
    const auto add_share = [&](const char* name, const char* label, double value) {
      add(name, "share", Better::kLarger, value);
      result.numbers.back().label = label;
      result.numbers.back().is_percent = true;
    };
    add_share("top1", "top-1", all.top1);
    add_share("top5", "top-5", all.top5);
    add("loss", "nats", Better::kSmaller, all.loss);
    add("nll", "nats", Better::kSmaller, all.nll);
    add("ece", "share", Better::kSmaller, all.ece);
    result.numbers.push_back(
        {{"num_examples", "images"}, static_cast<double>(all.num_examples), {}, /*is_count=*/true});
    result.tables = {list_of("label_names", options_.class_names),
                     calibration_table(all.calibration)};
    for (ResultTable& table : confusion_tables(all.confusion, num_classes, options_.class_names))
      result.tables.push_back(std::move(table));
    if (groups_.is_any()) add_groups(all.confusion, num_classes, result);
    result.examples = all_examples(examples_, mesh);
    return result;
  }

 private:
  void add_groups(const metrics::Confusion& confusion, int64_t num_classes, Result& result) const {
    const metrics::Confusion::PerClass all = confusion.per_class(num_classes);
    std::vector<ClassShare> shares;
    for (size_t c = 0; c < all.truths.size(); ++c)
      shares.push_back({all.truths[c], static_cast<double>(all.right[c])});
    result.tables.push_back(group_table("per_group", groups_, shares));
  }

  EvaluatorOptions options_;
  ClassGroups groups_;
  Sums sums_;
  std::vector<Example> examples_;
  int64_t num_classes_ = 0;
};

}  // namespace

std::unique_ptr<Evaluator> make_classification(const EvaluatorOptions& options) {
  return std::make_unique<Classification>(options);
}

}  // namespace vit22b
