#pragma once
#include <span>
#include <vector>

#include "metrics/calibration.h"

namespace vit22b::metrics {

/// What answering only where one is sure is worth. Answers of equal confidence have no order: each
/// counts as the share of right ones among them.
///
/// All take answers sorted by by_confidence, and are NaN for none.
double selective_accuracy(std::span<const Judged> sorted, double coverage);

/// The area under the curve of risk over coverage: the mean over k of the share of wrong answers
/// among the k surest.
///
/// source  Geifman et al. 2019
double area_under_risk_coverage(std::span<const Judged> sorted);

/// What that area exceeds the one of the same answers with every wrong one behind every right one:
/// the confidence's own fault. Exact for this number of samples, where Geifman et al. have
/// r + (1 - r) ln(1 - r) for many.
double excess_area_under_risk_coverage(std::span<const Judged> sorted);

/// The ROC area of being right by confidence, when the least sure answers go to somebody who is
/// always right.
///
/// share   of all answers that go there
/// source  Kivlichan et al. 2021; robustness_metrics uncertainty.py, with its 1,000 bins of the
///         confidence and 200 thresholds
double oracle_collaborative_auc(std::span<const Judged> sorted, double share);

/// A point of the curve.
struct RiskAtCoverage {
  double coverage = 0, risk = 0;
};
/// At most `count` points of the curve, evenly over the coverage, the last at 1.
std::vector<RiskAtCoverage> risk_coverage_curve(std::span<const Judged> sorted, int64_t count);

}  // namespace vit22b::metrics
