#pragma once
#include <string>
#include <vector>

#include "checkpoint/checkpoint_path.h"
#include "data/mask_labels.h"
#include "model/dense/head_config.h"
#include "model/parameter_table.h"
#include "model/weight_store.h"

namespace vit22b {

/// What config.json says of a head that names the class of every pixel; its weights stand in
/// kTaskFile.
struct SegmentationInfo {
  DenseHeadConfig head;
  std::vector<std::string> names;  ///< of the classes
  MaskLabels labels;               ///< of the masks that it learnt
  int64_t window = 0, stride = 0;  ///< of sliding windows, in pixels; 0 for whole views

  int64_t num_classes() const { return static_cast<int64_t>(names.size()); }
  bool operator==(const SegmentationInfo& other) const;
};

/// A dense head's parameters, as rows of a task.
///
/// outputs  a place
/// throws   UsageError as make_dense_head
std::vector<ParameterRow> dense_rows(const DenseHeadConfig& head, int64_t outputs,
                                     const ViTConfig& model);
/// A checkpoint's head of these rows, by local name.
///
/// throws  CheckpointError naming the file and a tensor that is missing, misshapen or damaged
NamedTensors load_dense_head(const CheckpointPath& checkpoint,
                             const std::vector<ParameterRow>& rows);

/// The head's parameters, as rows of a task.
///
/// throws  UsageError as make_dense_head
std::vector<ParameterRow> segmentation_rows(const SegmentationInfo& info, const ViTConfig& model);

/// A checkpoint's head, by local name.
///
/// throws  CheckpointError naming the file and a tensor that is missing, misshapen or damaged
NamedTensors load_segmentation_head(const CheckpointPath& checkpoint, const SegmentationInfo& info,
                                    const ViTConfig& model);

}  // namespace vit22b
