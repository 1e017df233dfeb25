#pragma once
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/model_info.h"
#include "checkpoint/tensor_map.h"

namespace vit22b {

/// What an importer looks at: a checkpoint's place, and what its config.json says.
struct ImportFiles {
  const CheckpointPath& checkpoint;
  const nlohmann::ordered_json& config;  ///< or open_clip_config.json; {} where there is neither
  std::string config_place;              ///< the file, for messages; the weights' where none is
  /// Of the tensors, where there is no config; and which of the file's objects they are.
  std::set<std::string> names = {};
  std::string part = {};
  /// The config.json of the model that `config` is an image tower of; null where it is a model's
  /// own.
  const nlohmann::ordered_json* whole = nullptr;
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
  TensorMap (*map)(const ImportFiles& files, const std::vector<ParameterRow>& table,
                   const TensorContainer& weights);
  /// The same of the text tower, where these checkpoints may have one beside the other.
  ModelInfo (*describe_text)(const ImportFiles& files) = nullptr;
  TensorMap (*map_text)(const ImportFiles& files, const std::vector<ParameterRow>& table,
                        const TensorContainer& weights) = nullptr;
};

/// The first of the list that recognises a checkpoint, or the one that it names.
///
/// throws  CheckpointError where none does or has that name
const Importer& importer_of(const ImportFiles& files);

/// What model the tower is that the checkpoint's place names.
///
/// throws  CheckpointError where there is no text tower
ModelInfo describe(const Importer& importer, const ImportFiles& files);

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
/// Its names are the table's; the two output biases of timm's parallel blocks are summed.
TensorMap map_own(const ImportFiles& files, const std::vector<ParameterRow>& table,
                  const TensorContainer& weights);
/// Folders that timm wrote.
bool is_timm(const ImportFiles& files);
ModelInfo describe_timm(const ImportFiles& files);
TensorMap map_timm(const ImportFiles& files, const std::vector<ParameterRow>& table,
                   const TensorContainer& weights);

}  // namespace vit22b
