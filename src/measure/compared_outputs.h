#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "eval/evaluation.h"
#include "eval/load_predictor.h"

namespace vit22b {

/// What a model makes of some pictures, as another's is compared with it; float32, on the CPU.
struct ComparedOutputs {
  at::Tensor indices_N, pooled_ND, patches_NTD;
  at::Tensor answers_N;            ///< undefined without classes
  std::vector<at::Tensor> layers;  ///< of each block [N, D], the mean of the patches' raw tokens
  int64_t rows = 0, columns = 0;   ///< of patches
};

/// Runs a model over pictures by its own transform.
///
/// bad_samples  those left out
/// throws       as for_each_batch; NumbersError for pooled features that are not finite
ComparedOutputs outputs_to_compare(LoadedModel& model, const DataSource& source,
                                   const EvalOptions& options, std::vector<BadSample>& bad_samples);

/// Leaves the pictures that both models could read.
void keep_common(ComparedOutputs& first, ComparedOutputs& second);

}  // namespace vit22b
