#include "metrics/retrieval.h"

#include <limits>

namespace vit22b::metrics {

at::Tensor answer_ranks(const at::Tensor& scores_QN, const at::Tensor& query_group_Q,
                        const at::Tensor& candidate_group_N) {
  const at::Tensor is_right_QN = query_group_Q.unsqueeze(1).eq(candidate_group_N.unsqueeze(0));
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  // A score that is no number is never an answer's: below all others of a right candidate, above
  // them of a wrong one.
  const at::Tensor is_nan_QN = scores_QN.isnan();
  const at::Tensor best_Q1 =
      scores_QN.masked_fill(~is_right_QN | is_nan_QN, kNever).amax(1, /*keepdim=*/true);
  const at::Tensor above_Q = ((scores_QN.ge(best_Q1) | is_nan_QN) & ~is_right_QN).sum(1);
  return at::where(is_right_QN.any(1), above_Q, at::full_like(above_Q, scores_QN.size(1)));
}

double recall_at(const at::Tensor& ranks_Q, int64_t k) {
  if (ranks_Q.numel() == 0) return std::numeric_limits<double>::quiet_NaN();
  return ranks_Q.lt(k).to(at::kDouble).mean().item<double>();
}

}  // namespace vit22b::metrics
