#pragma once
#include <functional>

#include "cli/head_sets.h"
#include "cli/result_output.h"
#include "measure/heads.h"

namespace vit22b {

/// Tells answers' result, compared with --against, and writes --predictions.
///
/// folds  that the answers are joined from, as head_result has them
void report_head(const HeadFlags& flags, const HeadAnswers& answers,
                 const std::vector<HeadAnswers>& folds = {});

/// The same of all fits of a command's sets.
///
/// test  fits to HeadSets::at(fit).train, and answers its test
void report_heads(const HeadFlags& flags, const HeadSets& sets,
                  const std::function<HeadAnswers(size_t fit)>& test);

}  // namespace vit22b
