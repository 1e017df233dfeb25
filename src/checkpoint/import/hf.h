#pragma once
#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "checkpoint/import/importer.h"
#include "checkpoint/import/shapes.h"

namespace vit22b {

/// A config.json of Hugging Face's transformers, of one tower where it holds several: reads fields,
/// and notes of each whether the file has it or the class's default counts.
class HfConfig {
 public:
  /// Of the tower that the checkpoint's place names.
  ///
  /// files, info  outlive it
  HfConfig(const ImportFiles& files, ModelInfo& info);

  const std::string& model_type() const { return model_type_; }
  /// field  ours, that the value is for; "" for none
  int64_t integer(const char* key, int64_t otherwise, const std::string& field = "");
  double number(const char* key, double otherwise, const std::string& field = "");
  bool flag(const char* key, bool otherwise, const std::string& field = "");
  std::string word(const char* key, const std::string& otherwise, const std::string& field = "");
  /// A side, or height and width.
  ImageSize size(const char* key, ImageSize otherwise, const std::string& field = "");
  /// hidden_act in our words.
  ///
  /// throws  CheckpointError for one that no block has
  std::string activation(const std::string& otherwise);
  /// Whether a number that the config says, where it does, is the tensors'.
  ///
  /// throws  CheckpointError with both
  void check(const char* key, int64_t of_tensors);
  /// The class that wrote it, such as "ViTForImageClassification"; "" where it does not say.
  std::string architecture() const;

 private:
  const nlohmann::ordered_json* find(const char* key, const std::string& field);

  const ImportFiles& files_;
  std::shared_ptr<const nlohmann::ordered_json> json_;
  ModelInfo& info_;
  std::string model_type_;
};

/// PIL's numbers of resampling methods, as `resample` has them.
constexpr const char* kResampling[] = {"nearest", "lanczos", "bilinear",
                                       "bicubic", "box",     "hamming"};

/// An activation of ours in transformers' words.
std::string hf_activation(const std::string& act_layer);

/// Whether config.json's model_type is one of these.
bool is_hf(const ImportFiles& files, std::span<const std::string_view> model_types);

/// What a class takes where its config.json says nothing.
struct HfDefaults {
  int64_t heads = 12;
  double eps = 1e-6;
  const char* eps_key = "layer_norm_eps";
  const char* activation = "gelu";
  ImageSize image{224, 224};
  const char* posemb_resize = "bicubic";
};

/// Reads what all of Hugging Face's families have alike, over what shapes say: heads, image size,
/// eps, activation, labels.
///
/// config  of `info`
void take_hf_model(const RenamedTensors& tensors, HfConfig& config, const HfDefaults& defaults,
                   ModelInfo& info);

/// Of this what a text tower has too: heads, eps, activation.
void take_hf_blocks(HfConfig& config, const HfDefaults& defaults, ModelInfo& info);

/// (pixel / 255 - mean) / stddev of red, green and blue.
struct PixelScale {
  std::array<double, 3> mean, stddev;
};
constexpr PixelScale kBytesToOne = {{0, 0, 0}, {1, 1, 1}};
constexpr PixelScale kAroundHalf = {{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}};
constexpr PixelScale kImageNetScale = {{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
/// OpenAI CLIP's.
constexpr PixelScale kClipScale = {{0.48145466, 0.4578275, 0.40821073},
                                   {0.26862954, 0.26130258, 0.27577711}};

/// The transform of preprocessor_config.json, or a resize to the model's image, bicubic, with a
/// family's scale; and the classes' names.
///
/// throws  CheckpointError naming the file and what no transform does
void take_hf_preprocessing(const ImportFiles& files, const PixelScale& otherwise, ModelInfo& info);

}  // namespace vit22b
