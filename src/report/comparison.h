#pragma once
#include <string>
#include <vector>

#include "report/run_reader.h"

namespace vit22b {

/// One page of several runs: how each ended, the settings in which they differ, and their curves
/// over each other.
std::string comparison_html(const std::vector<RunData>& runs);

/// The metrics of all runs as CSV: run, step, and a column for each metric; empty where a row has
/// none.
std::string metrics_csv(const std::vector<RunData>& runs);

}  // namespace vit22b
