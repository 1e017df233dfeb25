#pragma once
#include <string>

#include "report/run_reader.h"

namespace vit22b {

/// One offline page: results, curves, confusion matrices, settings. No scripts, inline SVG, light
/// and dark, and the same bytes for the same run.
std::string report_html(const RunData& run);

}  // namespace vit22b
