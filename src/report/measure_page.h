#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace vit22b {

/// One page of the JSON results of `eval` and its measures: the plots that they ask for
/// (reliability with the band of perfect calibration, accuracy by coverage, corruption, group,
/// experiment and condition, shape bias by category, …), what several have in common side by side;
/// then each with its numbers and tables.
///
/// throws  DataError for a file that is no such result
std::string measures_html(const std::vector<std::filesystem::path>& files);

}  // namespace vit22b
