#include "report/dot_plot.h"

#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "report/page.h"
#include "report/svg.h"

namespace vit22b {
namespace {

constexpr double kWide = 460, kNames = 130, kEnd = 18, kHead = 40, kRowHeight = 15, kFoot = 34;
constexpr size_t kMostRows = 60, kLongestName = 22;

/// Where values lie from left to right.
struct Axis {
  double low = 0, high = 1;

  double x(double value) const {
    return kNames + (value - low) / (high - low) * (kWide - kNames - kEnd);
  }
};

Axis axis_of(const std::vector<DotSeries>& series) {
  Axis axis;
  for (const DotSeries& one : series)
    for (const double value : one.values) {
      if (!std::isfinite(value)) continue;
      axis.low = std::min(axis.low, value);
      axis.high = std::max(axis.high, value);
    }
  return std::isfinite(axis.high - axis.low) ? axis : Axis();
}

std::string at(double value) {
  return formatted("%.1f", value);
}

std::string grid(const Axis& axis, double bottom, const std::string& x_name) {
  constexpr int kTicks = 5;
  std::string out;
  for (int i = 0; i <= kTicks; ++i) {
    const double value = axis.low + (axis.high - axis.low) * i / kTicks;
    out += concat("<line class=\"grid\" x1=\"", at(axis.x(value)), "\" x2=\"", at(axis.x(value)),
                  "\" y1=\"", at(kHead), "\" y2=\"", at(bottom), "\"/><text x=\"",
                  at(axis.x(value)), "\" y=\"", at(bottom + 14), "\" text-anchor=\"middle\">",
                  short_number(value), "</text>");
  }
  return out + concat("<text x=\"", at((kNames + kWide) / 2), "\" y=\"", at(bottom + 29),
                      "\" text-anchor=\"middle\">", escape_html(x_name), "</text>");
}

std::string legend(const std::vector<DotSeries>& series) {
  if (series.size() < 2) return "";
  std::string out;
  double x = kNames;
  for (size_t i = 0; i < series.size(); ++i) {
    const std::string name = shortened(series[i].name, kLongestName);
    const double length = 6.6 * static_cast<double>(name.size());
    if (x + length > kWide) break;
    out += concat("<text x=\"", at(x), "\" y=\"", at(kHead - 7),
                  "\" style=\"fill:", curve_style(i).colour, "\">", escape_html(name), "</text>");
    x += 12 + length;
  }
  return out;
}

std::string mean_line(const DotSeries& series, size_t i, const Axis& axis, double bottom) {
  double sum = 0;
  int64_t count = 0;
  for (const double value : series.values)
    if (value >= axis.low && value <= axis.high) sum += value, ++count;
  if (count == 0) return "";
  const std::string x = at(axis.x(sum / static_cast<double>(count)));
  return concat("<line x1=\"", x, "\" x2=\"", x, "\" y1=\"", at(kHead), "\" y2=\"", at(bottom),
                "\" stroke=\"", curve_style(i).colour, "\" stroke-dasharray=\"4 3\"/>");
}

}  // namespace

std::string dot_plot(const std::string& title, const std::vector<std::string>& rows,
                     const std::vector<DotSeries>& series, const std::string& x_name) {
  const size_t num_rows = std::min(rows.size(), kMostRows);
  const double bottom = kHead + kRowHeight * static_cast<double>(num_rows);
  const Axis axis = axis_of(series);
  std::string out =
      concat("<svg viewBox=\"0 0 ", kWide, " ", bottom + kFoot, "\" role=\"img\"><title>",
             escape_html(title), "</title><text class=\"title\" x=\"", at(kWide / 2),
             "\" y=\"15\" text-anchor=\"middle\">", escape_html(title), "</text>", legend(series),
             grid(axis, bottom, x_name));
  for (size_t i = 0; i < series.size(); ++i) out += mean_line(series[i], i, axis, bottom);
  for (size_t row = 0; row < num_rows; ++row) {
    const double y = kHead + kRowHeight * (static_cast<double>(row) + 0.5);
    out += concat("<text x=\"", at(kNames - 8), "\" y=\"", at(y + 4), "\" text-anchor=\"end\">",
                  escape_html(shortened(rows[row], kLongestName)), "</text>");
    for (size_t i = 0; i < series.size(); ++i) {
      const double value = series[i].values.at(row);
      if (!(value >= axis.low && value <= axis.high)) continue;
      out += concat("<circle cx=\"", at(axis.x(value)), "\" cy=\"", at(y),
                    "\" r=\"4\" fill-opacity=\"0.85\" fill=\"", curve_style(i).colour, "\"><title>",
                    escape_html(series[i].name), ", ", escape_html(rows[row]), ": ",
                    short_number(value), "</title></circle>");
    }
  }
  return out + "</svg>\n";
}

}  // namespace vit22b
