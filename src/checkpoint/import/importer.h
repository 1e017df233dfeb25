#pragma once
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "checkpoint/model_info.h"
#include "checkpoint/tensor_map.h"

namespace vit22b {

/// What an importer looks at: a checkpoint's place, and what its config.json says.
struct ImportFiles {
  const CheckpointPath& checkpoint;
  const nlohmann::ordered_json& config;
  std::string config_place;  ///< the file, for messages
};

/// How checkpoints of one origin are read. Each is one file and one line of the list in
/// registry.cpp.
///
/// describe and map throw CheckpointError, UsageError of a config's field, or a JSON exception
struct Importer {
  const char* name;
  bool (*recognises)(const ImportFiles& files);
  /// What model it is.
  ModelInfo (*describe)(const ImportFiles& files);
  /// What each of the files' tensors is for, where the model has these parameters.
  TensorMap (*map)(const std::vector<ParameterRow>& table, const TensorContainer& files);
};

/// The first of the list that recognises a checkpoint, or the one that it names.
///
/// throws  CheckpointError where none does or has that name
const Importer& importer_of(const ImportFiles& files);

/// Reads config.json and does this with it; a JSON exception and a UsageError become a
/// CheckpointError that names the file.
void with_import_files(const CheckpointPath& checkpoint,
                       const std::function<void(const ImportFiles&)>& use);

/// What each of a checkpoint's tensors is for, as its importer has it.
TensorMap tensor_map(const CheckpointPath& checkpoint, const std::vector<ParameterRow>& table,
                     const TensorContainer& files);

/// The importers.

/// Folders that vit22b wrote: our fields under "vit22b" in a config.json of timm's.
bool is_own(const ImportFiles& files);
ModelInfo describe_own(const ImportFiles& files);
/// Folders that timm wrote.
bool is_timm(const ImportFiles& files);
ModelInfo describe_timm(const ImportFiles& files);
/// timm's names are the table's; the two output biases that its parallel blocks have are summed.
TensorMap map_timm(const std::vector<ParameterRow>& table, const TensorContainer& files);

}  // namespace vit22b
