#pragma once
#include <vector>

#include "checkpoint/segmentation_info.h"
#include "model/dense/depth_output.h"

namespace vit22b {

/// What is known of a head that says how far every pixel is; its weights stand in kTaskFile, or
/// among a foreign checkpoint's own.
struct DepthInfo {
  DenseHeadConfig head;
  DepthOutput output;
  /// Pictures are filled to whole patches around them, as DINOv2 does, not below and on the right.
  bool is_padded_around = false;

  /// As DepthOutput::depths.
  at::Tensor depths(const at::Tensor& scores_BHWC) const {
    return output.depths(scores_BHWC, head.is_of_pixels());
  }
  bool operator==(const DepthInfo& other) const;
};

/// The head's parameters, as rows of a task.
std::vector<ParameterRow> depth_rows(const DepthInfo& info, const ViTConfig& model);

}  // namespace vit22b
