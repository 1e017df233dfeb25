#pragma once
#include <filesystem>
#include <optional>

#include "checkpoint/import/importer.h"

namespace vit22b {

/// Heads of other libraries' that say how far every pixel is: transformers' DPT and Depth Anything
/// by their config.json, the authors' state dicts of both by their tensors' names. They become the
/// head `dpt`. What files do not say (which blocks it sees, what its numbers are) is to be given
/// behind the checkpoint, as "?depth.output=relative&depth.layers=2,5,8,11".
///
/// Says so in `info`; nothing where there is no such head.
///
/// throws  CheckpointError naming what none of ours computes, UsageError what has to be given
void take_depth_head(const ImportFiles& files, ModelInfo& info);

/// A head in a file of its own.
struct ImportedDepthHead {
  DepthInfo info;
  NamedTensors weights;
};
/// DINOv2's depth heads as it publishes them, linear or DPT (decode_head.conv_depth.*), for its
/// backbones: they see raw outputs of four blocks or the last one, each patch beside the class
/// token.
///
/// place    the file, behind a '?' what it does not say: "head.pth?depth.max_depth=10", where the
///          model has not 12, 24 or 40 blocks "depth.layers=…" too
/// returns  nothing for a file without such a head
/// throws   CheckpointError as load_depth_head, UsageError what has to be given
std::optional<ImportedDepthHead> read_dinov2_depth_head(const std::filesystem::path& place,
                                                        const ViTConfig& model);

/// The weights of a checkpoint's head, of vit22b's or another's, by local name. A batch norm of the
/// fusion becomes part of the convolution before it, the scale and shift of the model's final norm,
/// where outputs of blocks below the last pass it, part of the layer behind it.
///
/// throws  CheckpointError naming the tensor that is missing, misshapen or unknown
NamedTensors load_depth_head(const CheckpointPath& checkpoint, const DepthInfo& info,
                             const ViTConfig& model);

}  // namespace vit22b
