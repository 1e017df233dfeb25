#include "measure/evaluators/selective.h"

#include "core/text.h"
#include "measure/defined_number.h"
#include "measure/judged_answers.h"
#include "metrics/ranking.h"
#include "metrics/selective.h"

namespace vit22b {
namespace {

using Form = ResultTable::Form;

constexpr double kCoverages[] = {0.5, 0.8, 0.9, 0.95, 0.99, 1};
// Nobody, and as robustness_metrics, plex.py: the first shows what 200 thresholds cost.
constexpr double kOracleShares[] = {0, 0.005, 0.01, 0.02, 0.05};
constexpr int64_t kCurvePoints = 200;
constexpr uint64_t kSelectiveSeed = 0;  // of the interval's resampling

ResultTable oracle_table(const std::vector<metrics::Judged>& sorted) {
  ResultTable table{"oracle_auc", Form::kRecords, {"share", "auroc"}, {}};
  for (const double share : kOracleShares)
    table.rows.push_back({share, metrics::oracle_collaborative_auc(sorted, share)});
  return table;
}

void add_lines(const std::string& what, const ResultTable& table, Result& result) {
  for (const std::vector<Cell>& row : table.rows)
    result.lines += concat(what, formatted(" %g %%", 100 * std::get<double>(row[0])),
                           formatted("  %.4f\n", std::get<double>(row[1])));
}

ResultTable coverage_table(const std::vector<metrics::Judged>& sorted) {
  ResultTable table{"coverage_accuracy", Form::kRecords, {"coverage", "accuracy"}, {}};
  for (const double coverage : kCoverages)
    table.rows.push_back({coverage, metrics::selective_accuracy(sorted, coverage)});
  return table;
}

ResultTable curve_table(const std::vector<metrics::Judged>& sorted) {
  ResultTable table{"risk_coverage", Form::kRecords, {"coverage", "risk"}, {}};
  for (const auto& [coverage, risk] : metrics::risk_coverage_curve(sorted, kCurvePoints))
    table.rows.push_back({coverage, risk});
  return table;
}

ResultNumber calibration_auc(const std::vector<metrics::Judged>& answers) {
  std::vector<double> right, wrong;
  for (const metrics::Judged& answer : answers)
    (answer.right > 0 ? right : wrong).push_back(answer.confidence);
  const metrics::Ranking ranking(right, wrong);
  return {{"calibration_auc", "share", Better::kLarger},
          ranking.auroc(),
          ranking.auroc_interval(kSelectiveSeed)};
}

class Selective : public Evaluator {
 public:
  explicit Selective(EvaluatorOptions options) : options_(std::move(options)) {}

  void add(const PredictedBatch& batch) override {
    const std::vector<metrics::Answer> answers =
        metrics::answers_of(batch.logits_BC, batch.labels_B);
    answers_.add(answers);
  }

  Result finish(const Mesh& mesh) override {
    const std::vector<metrics::Judged> all = answers_.all(mesh),
                                       sorted = metrics::by_confidence(all);
    Result result{"selective", {{"probabilities", probabilities_text(options_)}}, {}};
    const auto add = [&](const std::string& name, Better better, double value,
                         const std::string& definition) {
      add_defined(result, {{name, "share", better}, value}, definition);
    };
    add("top1", Better::kLarger, metrics::selective_accuracy(sorted, 1), "share of right answers");
    add("aurc", Better::kSmaller, metrics::area_under_risk_coverage(sorted),
        "mean over k of the share of wrong ones among the k surest answers");
    add("e_aurc", Better::kSmaller, metrics::excess_area_under_risk_coverage(sorted),
        "aurc less that of the same answers with all wrong ones last");
    add_defined(result, calibration_auc(all),
                "chance that a right answer is surer than a wrong one");
    result.numbers.push_back(
        {{"num_examples", "images"}, static_cast<double>(sorted.size()), {}, /*is_count=*/true});
    result.tables = {oracle_table(sorted), coverage_table(sorted), curve_table(sorted)};
    result.settings.emplace_back(
        "definitions.oracle_auc",
        "calibration_auc by 200 thresholds, the share least sure answered by an oracle");
    add_lines("calibration_auc, an oracle has", result.tables[0], result);
    add_lines("accuracy of the surest", result.tables[1], result);
    return result;
  }

 private:
  EvaluatorOptions options_;
  JudgedAnswers answers_;
};

}  // namespace

std::unique_ptr<Evaluator> make_selective(const EvaluatorOptions& options) {
  return std::make_unique<Selective>(options);
}

}  // namespace vit22b
