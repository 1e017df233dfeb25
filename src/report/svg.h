#pragma once
#include <string>
#include <vector>

#include "report/run_reader.h"

namespace vit22b {

/// A curve with its name in the legend.
struct Curve {
  std::string name;
  const Series* series;
};

/// How the i-th curve of a plot is drawn: its colour, and from the seventh on dashes.
struct CurveStyle {
  std::string colour, dashes;
};
CurveStyle curve_style(size_t i);

/// An inline SVG line plot with axes, ticks and as much of a legend as fits; colours follow the
/// page's light or dark scheme.
///
/// y_unit  written at the axis, such as "img/s"; "" for none
/// x_name  below the other
std::string line_plot(const std::string& title, const std::vector<Curve>& curves,
                      const std::string& y_unit, const std::string& x_name = "step");

/// A heat map of several series with common steps, the first at the bottom: dark is low, bright
/// high. Steps that cannot be told apart are thinned out.
std::string heat_map(const std::string& title, const std::vector<Series>& rows,
                     const std::string& row_name);

/// From a low to a high value; NaN for none.
struct Band {
  double low, high;
};
/// A reliability diagram: accuracy by confidence bin against the diagonal.
///
/// bands  of bins: where the accuracy of a perfectly calibrated model would lie; or none
std::string reliability_plot(const std::vector<EvalResult::Bin>& bins,
                             const std::vector<Band>& bands = {},
                             const std::string& title = "Reliability: accuracy by confidence");

/// Text safe inside HTML and SVG.
std::string escape_html(const std::string& text);

/// A whole number below ten million as it is, another in at most four significant digits.
std::string short_number(double value);

}  // namespace vit22b
