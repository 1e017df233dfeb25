#pragma once
#include <cstdint>
#include <vector>

namespace vit22b::cpu {

/// Between which two places each pixel of a side lies: value = first + share (second - first).
struct Between {
  std::vector<int32_t> first, second;
  std::vector<float> share;
};

/// One picture's scores and labels.
struct PixelScores {
  int64_t height, width, classes;
  const float* scores;         ///< [height, width, classes]
  const int32_t* labels;       ///< [rows, columns], below 0 for none
  const float* class_weights;  ///< [classes], or null for 1
  const Between& down;         ///< a row each
  const Between& across;       ///< a column each
  float gradient_scale;
  float* gradient;  ///< [height, width, classes], added to
};

/// Softmax cross-entropy of scores interpolated at each pixel, summed over those with a class; on
/// one core. The scores of a picture's pixels never exist together.
double pixel_loss(const PixelScores& picture);

/// Some rows of one picture's pixels.
struct ClassRows {
  int64_t width, classes;
  const float* scores;  ///< [height, width, classes]
  const Between& down;
  const Between& across;
  int64_t first_row, rows;
  int32_t* result;  ///< [rows, columns]
};

/// The class with the largest interpolated score at each pixel, of equal ones the first; on one
/// core.
void pixel_classes(const ClassRows& rows);

}  // namespace vit22b::cpu
