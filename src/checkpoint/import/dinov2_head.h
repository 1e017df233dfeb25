#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/segmentation_info.h"
#include "model/weight_store.h"

namespace vit22b {

/// A head that names the class of every pixel, and its weights by local name.
struct ImportedHead {
  SegmentationInfo info;
  NamedTensors weights;
};

/// Reads a linear segmentation head as DINOv2 publishes them ("dinov2_vits14_voc2012_linear_head",
/// "…_ms_head"): mmsegmentation's BNHead over the outputs of the last block, or of the last four,
/// each behind the model's final norm.
///
/// model        whose width says how many blocks it sees
/// final_norm   the model's, by local name: its scale and bias become the batch norm's for blocks
///              below the last
/// names        of the classes; numbers where empty
/// throws       CheckpointError naming a tensor that is missing or misshapen, UsageError for
/// another
///              number of names
/// source       facebookresearch/dinov2 notebooks/semantic_segmentation.ipynb, eval/segmentation
ImportedHead read_dinov2_head(const std::filesystem::path& file, const ViTConfig& model,
                              const NamedTensors& final_norm, std::vector<std::string> names);

}  // namespace vit22b
