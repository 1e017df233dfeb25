#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/rng.h"

namespace vit22b::corruption {

/// One colour of a picture, or a map of its size: rows of floats.
struct Plane {
  Plane() = default;
  Plane(int64_t rows, int64_t columns, float value = 0)
      : height(rows), width(columns), data(static_cast<size_t>(rows * columns), value) {}

  float* row(int64_t y) { return data.data() + y * width; }
  const float* row(int64_t y) const { return data.data() + y * width; }

  int64_t height = 0, width = 0;
  std::vector<float> data;
};

/// A picture in red, green and blue, or in grey, 0 to 1.
using Picture = std::vector<Plane>;

/// What stands beyond a border: the last pixel again, or the picture mirrored, its edge once more
/// (kSymmetric) or not (kMirror).
enum class Border { kNearest, kSymmetric, kMirror };

/// The pixel that stands for one beyond the border.
int64_t inside(int64_t at, int64_t size, Border border);

/// Gaussian smoothing, as scipy.ndimage.gaussian_filter: weights to int(truncate sigma + 0.5) on
/// either side.
Plane smoothed(const Plane& from, double sigma_y, double sigma_x, double truncate, Border border);

/// Correlation with a square kernel of odd size, mirrored at the borders: OpenCV's filter2D.
Plane filtered(const Plane& from, const Plane& kernel);

/// Linear interpolation as scipy.ndimage.zoom of order 1: corners stay corners. Of what comes out
/// the rows and columns from the first on.
Plane zoomed(const Plane& from, int64_t out_height, int64_t out_width, int64_t rows,
             int64_t columns);

/// The middle part, 1 / factor of either side, zoomed by the factor.
///
/// rows, columns  how much of it is wanted; 0 for all
Plane clipped_zoom(const Plane& from, double factor, int64_t rows = 0, int64_t columns = 0);

/// A blur along a line: kernel weights of a half normal curve, each at a pixel further on.
Plane motion_blurred(const Plane& from, int64_t radius, double sigma, double angle_degrees);

/// A height map of fractal clouds, 0 to 1, by diamonds and squares.
///
/// size  a power of two
Plane plasma(int64_t size, double decay, const CounterRng& rng, uint64_t first);

/// Everything within 0 to 1.
void clip(Plane& plane);
void clip(Picture& picture);

}  // namespace vit22b::corruption
