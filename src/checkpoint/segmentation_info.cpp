#include "checkpoint/segmentation_info.h"

#include "checkpoint/model_writer.h"
#include "checkpoint/tensor_reader.h"
#include "core/config.h"
#include "core/error.h"
#include "model/dense/dense_head.h"

namespace vit22b {

bool SegmentationInfo::operator==(const SegmentationInfo& other) const {
  const auto text = [](const SegmentationInfo& info) {
    SegmentationInfo copy = info;
    std::string all = concat(join(info.names, "\n"), "\n", info.window, " ", info.stride);
    for (const FieldText& field : list_fields([&](FieldVisitor& v) {
           copy.head.fields(v);
           copy.labels.fields(v);
         }))
      all += concat("\n", field.key, "=", field.value);
    return all;
  };
  return text(*this) == text(other);
}

std::vector<ParameterRow> dense_rows(const DenseHeadConfig& head, int64_t outputs,
                                     const ViTConfig& model) {
  const auto maps = std::ssize(head.blocks(model.depth));
  const DenseShape shape{maps, head.map_width(model.embed_dim), outputs, model.patch_size};
  std::vector<ParameterRow> rows = make_dense_head(head, shape)->rows();
  for (ParameterRow& row : rows) {
    row.unit = {UnitKind::kTask};
    row.name = concat(kTaskPrefix, row.local_name);
  }
  return rows;
}

NamedTensors load_dense_head(const CheckpointPath& checkpoint,
                             const std::vector<ParameterRow>& rows) {
  const CheckpointPath place{checkpoint.folder, kTaskFile};
  TensorMap map;
  for (const ParameterRow& row : rows) map.parameters[row.name].pieces = {whole_tensor(row)};
  const TensorReader reader(open_weights(place), std::move(map), rows);
  reader.check_all();
  NamedTensors weights;
  for (const ParameterRow& row : rows) weights[row.local_name] = reader.whole(row);
  return weights;
}

std::vector<ParameterRow> segmentation_rows(const SegmentationInfo& info, const ViTConfig& model) {
  return dense_rows(info.head, info.num_classes(), model);
}

NamedTensors load_segmentation_head(const CheckpointPath& checkpoint, const SegmentationInfo& info,
                                    const ViTConfig& model) {
  return load_dense_head(checkpoint, segmentation_rows(info, model));
}

}  // namespace vit22b
