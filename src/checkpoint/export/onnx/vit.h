#pragma once
#include <map>
#include <set>

#include "checkpoint/export/onnx/grid.h"
#include "checkpoint/export/onnx/layers.h"
#include "model/config.h"

namespace vit22b {

/// What a vision transformer gives, as values of a graph: VitOutputs of model/vit.h.
struct OnnxOutputs {
  OnnxGrid grid;                               ///< of its patches
  OnnxValue tokens_BTD, pooled_BD, logits_BC;  ///< without a name where the model has none
  std::map<int64_t, OnnxValue> blocks;         ///< raw outputs asked for
};

/// Adds a model's forward pass to a graph, as model/vit.cpp runs it.
///
/// images_BCHW  of any size that the model takes
/// taps         blocks whose raw output is wanted
OnnxOutputs onnx_vit(const OnnxOps& ops, OnnxWeights& weights, const ViTConfig& config,
                     const OnnxValue& images_BCHW, const std::set<int64_t>& taps);

/// The parts of the pass.

/// embed_images.
OnnxValue onnx_embedding(const OnnxLayers& layers, const ViTConfig& config,
                         const OnnxValue& images_BCHW, const OnnxGrid& grid);
/// block_forward.
OnnxValue onnx_block(const OnnxLayers& layers, const BlockSpec& block, const OnnxValue& x_BTD,
                     const OnnxRotary& rotary);
/// pool_tokens, of images.
OnnxValue onnx_pool(const OnnxLayers& layers, const ViTConfig& config, const OnnxValue& tokens_BTD);

}  // namespace vit22b
