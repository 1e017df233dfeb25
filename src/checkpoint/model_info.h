#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_path.h"
#include "checkpoint/depth_info.h"
#include "checkpoint/segmentation_info.h"
#include "data/tokenizer_options.h"
#include "model/config.h"

namespace vit22b {

/// What config.json says of a text tower beside an image tower.
struct TextInfo {
  ViTConfig config;
  std::string tokenizer;       ///< its file's name in the folder
  std::string tokenizer_hash;  ///< xxh3-128 of the file
  /// Sentences with {} for a class's name, for zero-shot classification.
  std::vector<std::string> templates = {"{}"};
};

/// Whole weights that a checkpoint stands beside, which has only what was trained.
struct BaseWeights {
  std::string place;     ///< CKPT
  std::string identity;  ///< as weights_identity gives it
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
  TokenizerOptions words = {};                     ///< how texts become words, of a text tower
  std::string family = {};                         ///< the importer that has read it
  std::optional<BaseWeights> base = std::nullopt;  ///< whose weights are this one's too
  std::optional<SegmentationInfo> segmentation = std::nullopt;  ///< of a head beside the model
  std::optional<DepthInfo> depth = std::nullopt;                ///< the same
  /// Where an importer has fields of the function from, by field: a file's key, a tensor's shape, a
  /// class's default.
  std::map<std::string, std::string> origins = {};
};

/// A field of what a model computes, and where that is known from.
struct FunctionField {
  std::string field, value, from;
};
/// What a checkpoint's model computes beside its sizes: activation, norms, pool, positions, pixels.
std::vector<FunctionField> function_of(const ModelInfo& info);

/// Reads what a checkpoint is, as the first importer says that recognises it, with what is given
/// behind its place.
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

}  // namespace vit22b
