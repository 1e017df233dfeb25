#pragma once
#include "checkpoint/export/onnx/model_file.h"
#include "checkpoint/import/dinov2_head.h"
#include "checkpoint/model_info.h"
#include "checkpoint/weights.h"

namespace vit22b {

/// throws  UsageError naming what of a model's function is not written as ONNX
void check_onnx(const ViTConfig& config);

/// A checkpoint's model as a graph: `images` [batch, channels, height, width] float32, as its
/// transform gives them, to `tokens`, `pooled`, and `logits` (`image_embedding` of a tower that is
/// embedded beside texts) where there are such; with a head of every pixel also `scores`. Its
/// metadata has the transform, mean and std of pixels from 0 to 1, sizes and names.
///
/// table   of the model
/// whole   asked for each parameter when the model is written
/// head    null for none
/// throws  as check_onnx
OnnxModel onnx_model(const ModelInfo& info, const std::vector<ParameterRow>& table,
                     const WholeTensor& whole, const ImportedHead* head);

}  // namespace vit22b
