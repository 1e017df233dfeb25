#include "metrics/selective.h"

#include <algorithm>
#include <cmath>

#include "metrics/undefined.h"

namespace vit22b::metrics {
namespace {

constexpr int64_t kBins = 1000, kThresholds = 200;

// Of the k surest, k from 1 on.
std::vector<double> risks(std::span<const Judged> sorted) {
  std::vector<double> all;
  all.reserve(sorted.size());
  double wrong = 0;
  for (auto it = sorted.rbegin(); it != sorted.rend(); ++it) {
    wrong += 1 - it->right;
    all.push_back(wrong / static_cast<double>(all.size() + 1));
  }
  return all;
}

/// Answers of a bin of the confidence, and those of them that a threshold takes for right.
struct OracleBin {
  double right = 0, wrong = 0;
  double taken_right = 0, taken_wrong = 0;
};

/// A threshold's counts.
struct Counts {
  double true_positives = 0, false_positives = 0, true_negatives = 0, false_negatives = 0;
};

// Keras' thresholds: two beyond the ends, the others evenly between.
double threshold_at(int64_t i) {
  constexpr double kBeyond = 1e-7;
  if (i == 0) return -kBeyond;
  if (i == kThresholds - 1) return 1 + kBeyond;
  return static_cast<double>(i) / (kThresholds - 1);
}

std::vector<OracleBin> bins_at(std::span<const Judged> sorted, double threshold) {
  std::vector<OracleBin> bins(kBins);
  for (const Judged& answer : sorted) {
    const auto place = static_cast<int64_t>(answer.confidence * kBins);
    OracleBin& bin = bins[static_cast<size_t>(std::clamp<int64_t>(place, 0, kBins - 1))];
    bin.right += answer.right;
    bin.wrong += 1 - answer.right;
    if (answer.confidence <= threshold) continue;
    bin.taken_right += answer.right;
    bin.taken_wrong += 1 - answer.right;
  }
  return bins;
}

// The least sure go to the oracle, of the last bin that sends any a share of each kind.
Counts counts_with_oracle(const std::vector<OracleBin>& bins, double to_oracle) {
  Counts sum;
  for (const OracleBin& bin : bins) {
    const double all = bin.right + bin.wrong, sent = all > 0 ? std::min(1.0, to_oracle / all) : 0;
    to_oracle -= sent * all;
    const double missed = bin.right - bin.taken_right;
    sum.true_positives += bin.taken_right + sent * missed;
    sum.false_negatives += (1 - sent) * missed;
    sum.true_negatives += bin.wrong - bin.taken_wrong + sent * bin.taken_wrong;
    sum.false_positives += (1 - sent) * bin.taken_wrong;
  }
  return sum;
}

}  // namespace

double selective_accuracy(std::span<const Judged> sorted, double coverage) {
  const auto all = static_cast<double>(sorted.size());
  const auto taken = static_cast<size_t>(std::ceil(coverage * all - 1e-9));
  if (taken == 0) return kUndefined;
  return 1 - risks(sorted)[std::min(taken, sorted.size()) - 1];
}

double area_under_risk_coverage(std::span<const Judged> sorted) {
  double sum = 0;
  for (const double risk : risks(sorted)) sum += risk;
  return sorted.empty() ? kUndefined : sum / static_cast<double>(sorted.size());
}

double excess_area_under_risk_coverage(std::span<const Judged> sorted) {
  double right = 0;
  for (const Judged& answer : sorted) right += answer.right;
  double best = 0;
  for (size_t k = 1; k <= sorted.size(); ++k) {
    const auto taken = static_cast<double>(k);
    best += std::max(0.0, taken - std::round(right)) / taken;
  }
  return area_under_risk_coverage(sorted) - best / static_cast<double>(sorted.size());
}

double oracle_collaborative_auc(std::span<const Judged> sorted, double share) {
  const double to_oracle = std::floor(share * static_cast<double>(sorted.size()));
  double area = 0, last_false = 0, last_true = 0;
  for (int64_t i = 0; i < kThresholds; ++i) {
    const bool is_end = i == 0 || i == kThresholds - 1;
    const Counts c = counts_with_oracle(bins_at(sorted, threshold_at(i)), is_end ? 0 : to_oracle);
    const double positives = c.true_positives + c.false_negatives,
                 negatives = c.false_positives + c.true_negatives;
    if (positives == 0 || negatives == 0) return kUndefined;
    const double true_rate = c.true_positives / positives,
                 false_rate = c.false_positives / negatives;
    if (i > 0) area += (last_false - false_rate) * (last_true + true_rate) / 2;
    last_false = false_rate;
    last_true = true_rate;
  }
  return area;
}

std::vector<RiskAtCoverage> risk_coverage_curve(std::span<const Judged> sorted, int64_t count) {
  const std::vector<double> all = risks(sorted);
  const int64_t n = std::ssize(all), points = std::min(count, n);
  std::vector<RiskAtCoverage> curve;
  for (int64_t i = 1; i <= points; ++i) {
    const int64_t taken = i * n / points;
    curve.push_back(
        {static_cast<double>(taken) / static_cast<double>(n), all[static_cast<size_t>(taken - 1)]});
  }
  return curve;
}

}  // namespace vit22b::metrics
