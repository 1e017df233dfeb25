#pragma once
#include "eval/evaluation.h"
#include "eval/load_predictor.h"
#include "eval/result.h"

namespace vit22b {

/// How alike what two models make of the same pictures is, each by its own transform: cosines of
/// their pooled vectors and of their patch tokens in the same places (mean and 1st percentile),
/// where those have one width and grid; the share of pictures with one answer, where they have the
/// same classes (by name, or as many without names); and linear CKA of the pooled vectors, of any
/// widths. What cannot be compared is undefined. Pictures that cannot be read are left out and
/// listed.
///
/// throws  as for_each_batch; NumbersError for features that are not finite
Result compare_models(LoadedModel& first, LoadedModel& second, const DataSource& source,
                      const EvalOptions& options);

}  // namespace vit22b
