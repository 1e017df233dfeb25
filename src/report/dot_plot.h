#pragma once
#include <string>
#include <vector>

namespace vit22b {

/// One of several things that have a value in each row of a plot.
struct DotSeries {
  std::string name;
  std::vector<double> values;  ///< by row; NaN for none
};

/// An inline SVG plot with a named row below the other, in each a dot of every series, and a
/// dashed line at each series' mean; shares, 0 to 1, from left to right unless a value is outside.
/// At most 60 rows, the first.
///
/// x_name  below the axis
std::string dot_plot(const std::string& title, const std::vector<std::string>& rows,
                     const std::vector<DotSeries>& series, const std::string& x_name);

}  // namespace vit22b
