#pragma once
#include <filesystem>

#include "checkpoint/export/written.h"
#include "checkpoint/manifest.h"
#include "checkpoint/model_info.h"
#include "checkpoint/saver.h"
#include "checkpoint/weights.h"
#include "core/file.h"
#include "dist/tensor_cut.h"
#include "model/weight_store.h"

namespace vit22b {

/// What a training task has learnt beside the model: a file beside the model's, which stays timm's.
constexpr const char* kTaskFile = "task.safetensors";

/// How a model's weights lie on disk.
struct WeightLayout {
  at::ScalarType dtype = at::kFloat;  ///< of matrices: see held_type
  int64_t shard_bytes = 0;            ///< the most bytes of tensors a file; 0 for one file
};

/// Writes a checkpoint as another library has it, a tensor at a time as below.
void write_model(FileOps& ops, const std::filesystem::path& folder, const WrittenModel& model,
                 const WholeTensor& whole, const WeightLayout& layout, Manifest& manifest);

/// The same as one .npz file; its texts are left.
void write_arrays(FileOps& ops, const std::filesystem::path& file, const WrittenModel& model,
                  const WholeTensor& whole, const WeightLayout& layout);

/// Writes a model of which `whole` gives a tensor at a time, which is all that is held: one file,
/// or shards and the index that Hugging Face's tools read. Records every file.
void write_model(FileOps& ops, const std::filesystem::path& folder, const ModelInfo& info,
                 const WholeTensor& whole, const WeightLayout& layout, Manifest& manifest);

/// Writes model.safetensors (timm's names; one output bias a parallel block becomes two, the first
/// zero) and config.json, and records both.
void write_model(FileOps& ops, const std::filesystem::path& folder, const ModelInfo& info,
                 const NamedTensors& weights, Manifest& manifest);
/// A rank's parts, and who is told when each has been written.
struct PartsToWrite {
  const NamedParts& parts;
  PartWritten written = {};
  bool is_for_peft = false;  ///< of adapters: kAdapterConfig is written too
};
/// The same from all ranks' parts; of a two-tower model the text tower's, as text.safetensors, and
/// the image tower's where it trains; a task's own parameters as kTaskFile. Of a model beside
/// other weights only what there are parts of.
void write_model(FileOps& ops, const std::filesystem::path& folder, const ModelInfo& info,
                 const PartsToWrite& weights, const Mesh& mesh, Manifest& manifest);

}  // namespace vit22b
