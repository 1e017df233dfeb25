#pragma once
#include <string>

#include "report/run_reader.h"

namespace vit22b {

/// What a report shows of one evaluation: its numbers, the most confused pairs, the confusion
/// matrix of at most 30 classes, the reliability diagram, its other tables, and examples with where
/// the model looked.
std::string result_section(const EvalResult& result);

}  // namespace vit22b
