#pragma once
#include "checkpoint/export/onnx/ops.h"
#include "checkpoint/export/onnx/weights.h"
#include "model/config.h"

namespace vit22b {

/// Rows and columns of an images' patches, each a list of one number that the graph computes.
struct OnnxGrid {
  OnnxValue height, width;
};

/// The patches of images. Where sides that are no multiple of the patch are not the model's, a run
/// on such images fails here.
OnnxGrid onnx_grid(const OnnxOps& ops, const ViTConfig& config, const OnnxValue& images_BCHW);

/// Cosines and sines of the angles by which features turn, [tokens, K] each; sines have the sign
/// that goes with onnx_rotate's order.
struct OnnxRotary {
  OnnxValue cos_TK, sin_TK;
  bool is_half = false;

  bool exists() const { return !cos_TK.name.empty(); }
};

/// The tables of a config's rotary positions for a grid; none where it has none.
OnnxRotary onnx_rotary(const OnnxOps& ops, const ViTConfig& config, const OnnxGrid& grid);
/// Queries or keys turned.
OnnxValue onnx_rotate(const OnnxOps& ops, const OnnxValue& x_BHTK, const OnnxRotary& rotary,
                      int64_t head_size);

/// sincos_positions of model/embedding.h: [1, patches, D].
OnnxValue onnx_sincos(const OnnxOps& ops, const OnnxGrid& grid, int64_t width);

/// What each of a side's `in` places gives to each of `out` new ones: [out, in], a matrix. Between
/// the middles of places, linear, edges continued.
///
/// scale  old places a new one: one number
OnnxValue onnx_linear_weights(const OnnxOps& ops, const OnnxValue& out, const OnnxValue& in,
                              const OnnxValue& scale);

/// A position table's patches for a grid, by any of resize_position_table's methods: [1, patches,
/// D]. At the model's own grid it is the table itself, bit for bit.
OnnxValue onnx_positions(const OnnxOps& ops, OnnxWeights& weights, const ViTConfig& config,
                         const OnnxGrid& grid);

}  // namespace vit22b
