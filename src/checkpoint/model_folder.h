#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_path.h"
#include "checkpoint/manifest.h"
#include "checkpoint/saver.h"
#include "checkpoint/weights.h"
#include "core/file.h"
#include "dist/tensor_cut.h"
#include "model/config.h"
#include "model/parameter_table.h"
#include "model/weight_store.h"

namespace vit22b {

/// What config.json says of a text tower beside an image tower.
struct TextInfo {
  ViTConfig config;
  std::string tokenizer;       ///< its file's name in the folder
  std::string tokenizer_hash;  ///< xxh3-128 of the file
  /// Sentences with {} for a class's name, for zero-shot classification.
  std::vector<std::string> templates = {"{}"};
};

/// What a checkpoint's config.json says besides weights.
struct ModelInfo {
  ViTConfig config;
  std::string
      pp_eval;  ///< the transform of inputs, in the mini-language; the truth on preprocessing
  std::vector<std::string> label_names;
  std::optional<TextInfo> text = std::nullopt;
  bool any_size = false;  ///< pp_eval may give images of another size than the model's
  /// timm's word for what the weights were trained on, such as "augreg2_in21k_ft_in1k"; empty where
  /// it gives none, absent for checkpoints of vit22b's.
  std::optional<std::string> tag = std::nullopt;
};

/// Reads config.json: our own fields, or timm's where those are absent.
///
/// throws  CheckpointError naming the file and what is missing or wrong
ModelInfo read_model_info(const CheckpointPath& checkpoint);

/// The image tower's weights and fields as one hash: by manifest.json's hashes where that has the
/// files, else by their names, sizes and times of change.
std::string model_fingerprint(const CheckpointPath& checkpoint);

/// config.json's text: timm's layout with our fields under "vit22b".
std::string model_info_text(const ModelInfo& info);

/// The default input transform of a model: resize, crop and range as timm's plain ViTs have them.
std::string default_pp_eval(const ViTConfig& config);

/// What a training task has learnt beside the model: a file beside the model's, which stays timm's.
constexpr const char* kTaskFile = "task.safetensors";

/// How a model's weights lie on disk.
struct WeightLayout {
  at::ScalarType dtype = at::kFloat;  ///< of matrices: see held_type
  int64_t shard_bytes = 0;            ///< the most bytes of tensors a file; 0 for one file
};

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
};
/// The same from all ranks' parts; of a two-tower model the text tower's, as text.safetensors, and
/// the image tower's where it trains; a task's own parameters as kTaskFile.
void write_model(FileOps& ops, const std::filesystem::path& folder, const ModelInfo& info,
                 const PartsToWrite& weights, const Mesh& mesh, Manifest& manifest);

}  // namespace vit22b
