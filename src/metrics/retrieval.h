#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace vit22b::metrics {

/// For each query the place of its best right answer among all candidates by score, from 0; ties
/// count against it, and so do scores that are NaN.
///
/// scores_QN     float
/// query_group   [Q], candidate_group [N]: an answer is right where the groups are equal
/// returns       [Q] int64; N where a query has no right answer
at::Tensor answer_ranks(const at::Tensor& scores_QN, const at::Tensor& query_group_Q,
                        const at::Tensor& candidate_group_N);

/// Share of ranks below k; NaN for no queries.
double recall_at(const at::Tensor& ranks_Q, int64_t k);

}  // namespace vit22b::metrics
