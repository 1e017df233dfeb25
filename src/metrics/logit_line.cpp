#include "metrics/logit_line.h"

#include <cmath>

#include "metrics/undefined.h"

namespace vit22b::metrics {
namespace {

bool is_inside(double share) {
  return share > 0 && share < 1;
}

double logit(double share) {
  return std::log(share) - std::log1p(-share);
}

}  // namespace

double LogitLine::at(double x) const {
  return is_inside(x) ? 1 / (1 + std::exp(-(offset + slope * logit(x)))) : kUndefined;
}

LogitLine fit_logit_line(const std::vector<double>& x, const std::vector<double>& y) {
  double mean_x = 0, mean_y = 0, xx = 0, xy = 0;
  LogitLine line;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!is_inside(x[i]) || !is_inside(y.at(i))) continue;
    // Welford's update, which stays exact for points close together.
    const double of_x = logit(x[i]), of_y = logit(y[i]), old_x = of_x - mean_x;
    const auto n = static_cast<double>(++line.num_points);
    mean_x += old_x / n;
    mean_y += (of_y - mean_y) / n;
    xx += old_x * (of_x - mean_x);
    xy += old_x * (of_y - mean_y);
  }
  line.slope = xx > 0 ? xy / xx : kUndefined;
  line.offset = mean_y - line.slope * mean_x;
  return line;
}

}  // namespace vit22b::metrics
