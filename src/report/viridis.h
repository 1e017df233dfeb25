#pragma once
#include <array>

namespace vit22b {

/// Red, green and blue from 0 to 255 for a share from 0 (dark) to 1 (bright), clamped: five of
/// viridis's colours (Smith and van der Walt 2015), and between them a straight line.
std::array<int, 3> viridis(double share);

}  // namespace vit22b
