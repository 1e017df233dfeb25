#include "report/viridis.h"

#include <algorithm>
#include <cmath>

namespace vit22b {

std::array<int, 3> viridis(double share) {
  constexpr int kColours[][3] = {
      {68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {253, 231, 37}};
  const double at = std::clamp(share, 0.0, 1.0) * (std::size(kColours) - 1);
  const auto low = std::min(static_cast<size_t>(at), std::size(kColours) - 2);
  const double part = at - static_cast<double>(low);
  std::array<int, 3> mixed{};
  for (size_t c = 0; c < 3; ++c)
    mixed[c] =
        static_cast<int>(std::lround((1 - part) * kColours[low][c] + part * kColours[low + 1][c]));
  return mixed;
}

}  // namespace vit22b
