#pragma once
#include "checkpoint/export/onnx/vit.h"
#include "checkpoint/segmentation_info.h"

namespace vit22b {

/// Rows of a head's parameters that it needs after training.
std::vector<ParameterRow> onnx_dense_rows(const SegmentationInfo& info, const ViTConfig& config);

/// A dense head's scores as PatchMaps and DenseHead compute them: [B, classes, h, w], of patches or
/// of finer places.
///
/// weights  of onnx_dense_rows
/// throws   UsageError for a head that is not written, by name
OnnxValue onnx_dense_scores(const OnnxOps& ops, OnnxWeights& weights, const DenseHeadConfig& head,
                            const ViTConfig& config, const OnnxOutputs& outputs);

/// A pass of UperNet over four maps [B, D, h, w]; names of weights begin with kTaskPrefix.
OnnxValue onnx_upernet(const OnnxLayers& layers, const std::vector<OnnxValue>& maps_BDHW);

/// A convolution of its own size with a stride of 1.
OnnxValue onnx_conv(const OnnxLayers& layers, const std::string& name, const OnnxValue& x_BCHW);
/// A batch norm by its running statistics, over dim 1.
OnnxValue onnx_batch_norm(const OnnxLayers& layers, const std::string& name,
                          const OnnxValue& x_BCHW);

}  // namespace vit22b
