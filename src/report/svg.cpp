#include "report/svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/text.h"
#include "report/viridis.h"

namespace vit22b {
namespace {

constexpr double kWidth = 460, kHeight = 250, kLeft = 58, kRight = 24, kTop = 38, kBottom = 34;
constexpr size_t kMaxPoints = 600;  // more cannot be told apart at this width
constexpr const char* kPalette[] = {"#4477aa", "#ee6677", "#228833",
                                    "#ccbb44", "#66ccee", "#aa3377"};  // Paul Tol, bright

std::string fixed(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

struct Range {
  double low = 1e300, high = -1e300;
  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  /// Never empty, so that a constant curve has a middle.
  void widen() {
    if (low > high) low = high = 0;
    if (low == high) {
      low -= std::max(1e-9, std::abs(low) * 0.1);
      high += std::max(1e-9, std::abs(high) * 0.1);
    }
  }
};

/// A step of 1, 2 or 5 times a power of ten that gives about five ticks.
double tick_step(const Range& range) {
  const double rough = (range.high - range.low) / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough) return factor * power;
  return 10 * power;
}

/// The multiples of the step in a range, but for its ends' last bits. Where a step is less than a
/// number's last bit, as near 1e17, they are few and may be equal.
std::vector<double> ticks(const Range& range, double slack) {
  constexpr int kMost = 20;
  const double step = tick_step(range), first = std::ceil(range.low / step);
  std::vector<double> values;
  for (int i = 0; i < kMost; ++i) {
    const double value = (first + i) * step;
    if (!(value <= range.high + slack)) break;
    if (values.empty() || value > values.back()) values.push_back(value);
  }
  return values;
}

class Plane {
 public:
  Plane(Range x, Range y) : x_(x), y_(y) {
    x_.widen();
    y_.widen();
  }
  double x(double value) const {
    return kLeft + (value - x_.low) / (x_.high - x_.low) * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    return kHeight - kBottom - (value - y_.low) / (y_.high - y_.low) * (kHeight - kTop - kBottom);
  }

  std::string axes(const std::string& x_name, const std::string& y_unit) const {
    std::string out;
    for (const double v : ticks(y_, 1e-12 * std::abs(y_.high)))
      out += concat("<line class=\"grid\" x1=\"", fixed(kLeft), "\" x2=\"", fixed(kWidth - kRight),
                    "\" y1=\"", fixed(y(v)), "\" y2=\"", fixed(y(v)), "\"/><text x=\"",
                    fixed(kLeft - 6), "\" y=\"", fixed(y(v) + 4), "\" text-anchor=\"end\">",
                    short_number(std::abs(v) < 1e-12 ? 0 : v), "</text>");
    for (const double v : ticks(x_, 1e-9))
      out += concat("<text x=\"", fixed(x(v)), "\" y=\"", fixed(kHeight - kBottom + 15),
                    "\" text-anchor=\"middle\">", short_number(v), "</text>");
    out += concat("<text x=\"", fixed((kLeft + kWidth) / 2), "\" y=\"", fixed(kHeight - 4),
                  "\" text-anchor=\"middle\">", x_name, "</text>");
    if (!y_unit.empty())
      out += concat("<text x=\"6\" y=\"", fixed(kTop - 8), "\">", escape_html(y_unit), "</text>");
    return out;
  }

 private:
  Range x_, y_;
};

std::string open_svg(const std::string& title) {
  return concat("<svg viewBox=\"0 0 ", kWidth, " ", kHeight, "\" role=\"img\"><title>",
                escape_html(title), "</title><text class=\"title\" x=\"", fixed(kWidth / 2),
                "\" y=\"15\" text-anchor=\"middle\">", escape_html(title), "</text>");
}

std::string polyline(const Series& series, const Plane& plane, const CurveStyle& style) {
  const size_t stride = std::max<size_t>(1, series.steps.size() / kMaxPoints);
  std::string points;
  for (size_t i = 0; i < series.steps.size();
       i += (i + stride < series.steps.size() || i + 1 == series.steps.size())
                ? stride
                : series.steps.size() - 1 - i)
    points += fixed(plane.x(series.steps[i])) + "," + fixed(plane.y(series.values[i])) + " ";
  if (series.steps.size() == 1)
    return concat("<circle cx=\"", fixed(plane.x(series.steps[0])), "\" cy=\"",
                  fixed(plane.y(series.values[0])), "\" r=\"3\" fill=\"", style.colour, "\"/>");
  const std::string dashes =
      style.dashes.empty() ? "" : " stroke-dasharray=\"" + style.dashes + "\"";
  return concat("<polyline fill=\"none\" stroke=\"", style.colour, "\" stroke-width=\"1.6\"",
                dashes, " points=\"", points, "\"/>");
}

std::string hex_colour(const std::array<int, 3>& rgb) {
  char text[8];
  std::snprintf(text, sizeof text, "#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
  return text;
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string short_number(double value) {
  constexpr double kLargestPlain = 1e7;
  const char* format = "%.4g";
  if (value == std::floor(value) && std::abs(value) < kLargestPlain)
    format = "%.0f";
  else if (std::abs(value) >= 1e5 || std::abs(value) < 1e-3)
    format = "%.3g";
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

CurveStyle curve_style(size_t i) {
  constexpr const char* kDashes[] = {"", "6 3", "2 2", "8 3 2 3"};
  return {kPalette[i % std::size(kPalette)], kDashes[i / std::size(kPalette) % std::size(kDashes)]};
}

std::string line_plot(const std::string& title, const std::vector<Curve>& curves,
                      const std::string& y_unit, const std::string& x_name) {
  Range x_range, y_range;
  for (const Curve& curve : curves) {
    for (const double step : curve.series->steps) x_range.include(step);
    for (const double value : curve.series->values) y_range.include(value);
  }
  const Plane plane(x_range, y_range);
  std::string out = open_svg(title) + plane.axes(escape_html(x_name), y_unit);
  double legend_x = kLeft;
  for (size_t i = 0; i < curves.size(); ++i) {
    const CurveStyle style = curve_style(i);
    out += polyline(*curves[i].series, plane, style);
    const double length = 6.6 * static_cast<double>(curves[i].name.size());
    if (curves.size() < 2 || legend_x + length > kWidth) continue;
    out += concat("<text x=\"", fixed(legend_x), "\" y=\"", fixed(kTop - 7),
                  "\" style=\"fill:", style.colour, "\">", escape_html(curves[i].name), "</text>");
    legend_x += 12 + length;
  }
  return out + "</svg>\n";
}

std::string heat_map(const std::string& title, const std::vector<Series>& rows,
                     const std::string& row_name) {
  constexpr size_t kMaxColumns = 80;
  Range values, steps;
  for (const Series& row : rows) {
    for (const double value : row.values) values.include(value);
    for (const double step : row.steps) steps.include(step);
  }
  values.widen();
  const auto num_rows = static_cast<double>(rows.size());
  Range rows_range;
  rows_range.include(0);
  rows_range.include(num_rows);
  const Plane plane(steps, rows_range);
  std::string out = open_svg(title) + plane.axes("step", row_name);
  const double height = plane.y(0) - plane.y(1);
  for (size_t r = 0; r < rows.size(); ++r) {
    const std::vector<double>& at = rows[r].steps;
    const size_t stride = std::max<size_t>(1, (at.size() + kMaxColumns - 1) / kMaxColumns);
    for (size_t i = 0; i < at.size(); i += stride) {
      const double left = plane.x(at[i]),
                   right = i + stride < at.size() ? plane.x(at[i + stride]) : kWidth - kRight;
      out +=
          concat("<rect x=\"", fixed(left), "\" y=\"", fixed(plane.y(static_cast<double>(r + 1))),
                 "\" width=\"", fixed(std::max(0.5, right - left)), "\" height=\"", fixed(height),
                 "\" fill=\"",
                 hex_colour(viridis((rows[r].values[i] - values.low) / (values.high - values.low))),
                 "\"/>");
    }
  }
  return out + concat("<text x=\"", fixed(kWidth - kRight), "\" y=\"", fixed(kTop - 7),
                      "\" text-anchor=\"end\">", short_number(values.low), " to ",
                      short_number(values.high), "</text></svg>\n");
}

std::string reliability_plot(const std::vector<EvalResult::Bin>& bins,
                             const std::vector<Band>& bands, const std::string& title) {
  Range unit;
  unit.include(0);
  unit.include(1);
  const Plane plane(unit, unit);
  std::string out = open_svg(title) + plane.axes("confidence", "accuracy");
  const double width = (plane.x(1) - plane.x(0)) / static_cast<double>(bins.size());
  for (size_t i = 0; i < bins.size(); ++i) {
    if (bins[i].count == 0) continue;
    const double left = plane.x(0) + width * static_cast<double>(i),
                 top = plane.y(bins[i].accuracy);
    out +=
        concat("<rect x=\"", fixed(left + 1), "\" y=\"", fixed(top), "\" width=\"",
               fixed(width - 2), "\" height=\"", fixed(plane.y(0) - top), "\" fill=\"", kPalette[0],
               "\"><title>", bins[i].count, " images, accuracy ", short_number(bins[i].accuracy),
               ", confidence ", short_number(bins[i].confidence), "</title></rect>");
  }
  for (size_t i = 0; i < std::min(bands.size(), bins.size()); ++i) {
    if (bins[i].count == 0 || !std::isfinite(bands[i].low) || !std::isfinite(bands[i].high))
      continue;
    const double left = plane.x(0) + width * static_cast<double>(i), top = plane.y(bands[i].high);
    out += concat(
        "<rect x=\"", fixed(left + 1), "\" y=\"", fixed(top), "\" width=\"", fixed(width - 2),
        "\" height=\"", fixed(plane.y(bands[i].low) - top), "\" fill=\"", kPalette[1],
        "\" fill-opacity=\"0.45\"><title>perfect calibration: ", short_number(bands[i].low), " to ",
        short_number(bands[i].high), "</title></rect>");
  }
  out += concat("<line class=\"diagonal\" x1=\"", fixed(plane.x(0)), "\" y1=\"", fixed(plane.y(0)),
                "\" x2=\"", fixed(plane.x(1)), "\" y2=\"", fixed(plane.y(1)), "\"/>");
  return out + "</svg>\n";
}

}  // namespace vit22b
