#include "measure/ood.h"

#include <ATen/ATen.h>

#include "core/error.h"
#include "core/text.h"
#include "core/text_table.h"
#include "metrics/answers.h"
#include "metrics/ranking.h"
#include "transfer/mahalanobis.h"
#include "transfer/neighbors.h"

namespace vit22b {
namespace {

constexpr double kTruePositives = 0.95;
constexpr uint64_t kSeed = 0;  // of the intervals' resampling

/// A score of all samples, larger for what is stranger.
struct Score {
  std::string name, definition;
  at::Tensor in, out;  ///< float64
};

constexpr const char* kLogitScores[][2] = {
    {"msp", "1 - the largest softmax probability"},
    {"entropy", "entropy of the softmax, nats"},
    {"energy", "-logsumexp of the logits, temperature 1"},
    {"max_logit", "- the largest logit"},
};

/// [4, N], in the order of kLogitScores.
at::Tensor logit_scores(const Predictions& predictions) {
  std::vector<at::Tensor> pieces;
  const int64_t rows = metrics::rows_at_a_time(predictions.num_classes);
  for (int64_t first = 0; first < predictions.size(); first += rows) {
    const at::Tensor logits =
        predictions.logits(first, std::min(rows, predictions.size() - first)).to(at::kDouble);
    if (!logits.isfinite().all().item<bool>())
      throw NumbersError(predictions.place,
                         ": logits have values that are not finite, from sample ", first, " on");
    const at::Tensor log_p = at::log_softmax(logits, 1), p = log_p.exp();
    // 0 log 0 is 0.
    const at::Tensor entropy = -at::where(p > 0, p * log_p, at::zeros_like(p)).sum(1);
    // The sum of the others is exact where 1 - p would be 0.
    const at::Tensor others = -at::expm1(log_p.amax(1));
    pieces.push_back(at::stack({others, entropy, -at::logsumexp(logits, 1), -logits.amax(1)}));
  }
  return at::cat(pieces, 1);
}

std::vector<Score> feature_scores(const OodSamples& in, const OodSamples& out, const OodFit& fit) {
  const LabelledFeatures& known = fit.known;
  if (known.size() < fit.num_neighbors)
    throw DataError(known.place, " has ", known.size(), " known samples, fewer than the ",
                    fit.num_neighbors, " neighbours asked for (--k)");
  const Mahalanobis fitted(known.features_ND, known.labels_N);
  const auto of_in = fitted.distances(in.features_ND), of_out = fitted.distances(out.features_ND);
  const auto far = [&](const at::Tensor& features) {
    return (1 - neighbor_similarity(known.features_ND, features, fit.num_neighbors))
        .to(at::kDouble);
  };
  std::vector<Score> scores = {{"mahalanobis",
                                "squared distance of the nearest class mean, one covariance",
                                of_in.nearest_M, of_out.nearest_M}};
  // Of one class nothing is relative.
  if (fitted.num_classes() > 1)
    scores.push_back({"relative_mahalanobis", "the same less the distance of the mean of all",
                      of_in.relative_M, of_out.relative_M});
  scores.push_back({"knn", concat("1 - cosine of neighbour ", fit.num_neighbors),
                    far(in.features_ND), far(out.features_ND)});
  return scores;
}

// Rounded to float32: what differs in the last bits of its sums alone is equal.
std::vector<double> values_of(const at::Tensor& scores, double sign) {
  const at::Tensor signed_scores = (scores * sign).to(at::kFloat).to(at::kDouble).contiguous();
  const auto* data = signed_scores.const_data_ptr<double>();
  return {data, data + signed_scores.numel()};
}

void add_score(const Score& score, Result& result, TextTable& table) {
  const metrics::Ranking strange(values_of(score.out, 1), values_of(score.in, 1)),
      known(values_of(score.in, -1), values_of(score.out, -1));
  std::vector<std::string> cells = {score.name};
  const auto add = [&](const char* name, Better better, double value) {
    result.numbers.push_back({{score.name + "." + name, "share", better}, value});
    cells.push_back(formatted("%.4f", value));
  };
  add("auroc", Better::kLarger, strange.auroc());
  const metrics::Interval interval = strange.auroc_interval(kSeed);
  result.numbers.back().interval = interval;
  cells.back() += concat(formatted(" (%.4f", interval.low), formatted(" to %.4f)", interval.high));
  add("auprc", Better::kLarger, strange.average_precision());
  add("fpr95", Better::kSmaller, strange.false_positive_rate(kTruePositives));
  add("auprc_in", Better::kLarger, known.average_precision());
  add("fpr95_in", Better::kSmaller, known.false_positive_rate(kTruePositives));
  cells.push_back(score.definition);
  table.add(std::move(cells));
  result.settings.emplace_back("definitions." + score.name, score.definition);
}

}  // namespace

Result measure_ood(const OodSamples& in, const OodSamples& out, const OodFit* fit) {
  for (const Predictions* of : {&in.predictions, &out.predictions})
    if (of->size() == 0) throw DataError(of->place, " has no samples");
  if (in.predictions.num_classes != out.predictions.num_classes)
    throw DataError(in.predictions.place, " has logits of ", in.predictions.num_classes,
                    " classes, ", out.predictions.place, " of ", out.predictions.num_classes);
  std::vector<Score> scores;
  const at::Tensor of_in = logit_scores(in.predictions), of_out = logit_scores(out.predictions);
  for (int64_t i = 0; const auto& [name, definition] : kLogitScores) {
    scores.push_back({name, definition, of_in[i], of_out[i]});
    ++i;
  }
  if (fit != nullptr)
    for (Score& score : feature_scores(in, out, *fit)) scores.push_back(std::move(score));
  Result result{"ood", {}, {}};
  using enum TextTable::Align;
  TextTable table({kLeft, kLeft, kRight, kRight, kRight, kRight, kLeft});
  table.add({"score", "auroc (95 %)", "auprc", "fpr95", "auprc_in", "fpr95_in", ""});
  for (const Score& score : scores) add_score(score, result, table);
  result.settings.emplace_back(
      "definitions.positive",
      "auprc and fpr95: the strange samples; auprc_in and fpr95_in: the known");
  result.numbers.push_back({{"num_examples", "images"},
                            static_cast<double>(in.predictions.size()),
                            {},
                            /*is_count=*/true});
  result.numbers.push_back({{"num_ood_examples", "images"},
                            static_cast<double>(out.predictions.size()),
                            {},
                            /*is_count=*/true});
  result.lines = concat(table.text(), "positive: the strange samples; of ..._in the known ones   (",
                        in.predictions.size(), " known, ", out.predictions.size(), " strange)\n");
  return result;
}

}  // namespace vit22b
