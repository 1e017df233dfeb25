#pragma once
#include <vector>

#include "checkpoint/segmentation_info.h"
#include "model/dense/depth_output.h"

namespace vit22b {

/// What config.json says of a head that says how far every pixel is, in metres; its weights stand
/// in kTaskFile.
struct DepthInfo {
  DenseHeadConfig head;
  DepthOutput output;

  bool operator==(const DepthInfo& other) const;
};

/// The head's parameters, as rows of a task.
std::vector<ParameterRow> depth_rows(const DepthInfo& info, const ViTConfig& model);

}  // namespace vit22b
