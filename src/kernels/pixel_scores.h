#pragma once
#include <ATen/core/Tensor.h>

namespace vit22b {

/// A loss over the pixels of pictures, and its gradient with respect to the scores of their places.
struct PixelLoss {
  at::Tensor loss;           ///< scalar, float32
  at::Tensor gradient_BHWC;  ///< float32
};

/// Softmax cross-entropy of scores that are upsampled bilinearly (align_corners=False) to the
/// labels' size: the sum over pixels with a class, divided by the number of all pixels, so that it
/// is the mean over pictures of one size.
///
/// scores_BHWC      float32, contiguous
/// labels_BYX       int32, below C; below 0 for pixels that count for nothing
/// class_weights_C  float32 factors of the pixels' losses; undefined for 1
/// source           mmsegmentation losses/cross_entropy_loss.py with avg_non_ignore=False
PixelLoss upsampled_cross_entropy(const at::Tensor& scores_BHWC, const at::Tensor& labels_BYX,
                                  const at::Tensor& class_weights_C = {});
/// The same in ATen's operations, on any device.
PixelLoss upsampled_cross_entropy_reference(const at::Tensor& scores_BHWC,
                                            const at::Tensor& labels_BYX,
                                            const at::Tensor& class_weights_C = {});

/// 1 - the Dice coefficient of softmax probabilities and labels over the batch's pixels with a
/// class, of scores upsampled as above: the mean over the classes, of which those that no label has
/// count 0.
///
/// source  segmentation_models_pytorch losses/dice.py (multiclass, smooth 0, eps 1e-7)
PixelLoss upsampled_dice(const at::Tensor& scores_BHWC, const at::Tensor& labels_BYX);

/// Where pixels lie among the places that scores are of: pixel i at place step (i + 0.5) + first -
/// 0.5, kept inside.
struct PlaceScale {
  double step = 1, first = 0;
};

/// The class with the largest score at each pixel, of scores interpolated bilinearly between the
/// places; of equal ones the first.
///
/// scores_HWC  float32
/// returns     [rows, columns] int32 on the CPU
at::Tensor interpolated_classes(const at::Tensor& scores_HWC, const PlaceScale& down, int64_t rows,
                                const PlaceScale& across, int64_t columns);
/// The same in ATen's operations.
at::Tensor interpolated_classes_reference(const at::Tensor& scores_HWC, const PlaceScale& down,
                                          int64_t rows, const PlaceScale& across, int64_t columns);

/// Scores of places at each pixel: [B, Y, X, C].
at::Tensor upsampled(const at::Tensor& scores_BHWC, int64_t height, int64_t width);

}  // namespace vit22b
