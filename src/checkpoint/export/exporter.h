#pragma once
#include <string>
#include <vector>

#include "checkpoint/export/written.h"
#include "checkpoint/import/importer.h"
#include "checkpoint/import/shapes.h"
#include "checkpoint/model_info.h"

namespace vit22b {

/// How a family of models is written for another library: names, config.json, preprocessing. The
/// reverse of an importer, whose file it stands in.
struct Exporter {
  const char* name;  ///< its importer's
  /// Whether models of this function are the family's; what is not quite is found out by reading
  /// what would be written. Null for one that is asked for by its name.
  bool (*takes)(const ViTConfig& config);
  WrittenModel (*write)(const ModelInfo& info, const std::vector<ParameterRow>& table);
  Imported (*read)(const ImportFiles& files, const TensorContainer& weights);
};

/// Flax's arrays in one file.
constexpr const char* kNpzFormat = "npz";

/// The words of --to that write folders.
std::string export_formats();

/// A checkpoint as a library has it: "hf" for Hugging Face's transformers, "timm", kNpzFormat for
/// big_vision.
///
/// table   of the model
/// throws  UsageError for another word, or for a model whose function the library's files cannot
///         say, naming what they would say of it
WrittenModel export_model(const std::string& format, const ModelInfo& info,
                          const std::vector<ParameterRow>& table);

/// The parts of exporters.

WrittenModel write_hf_dinov2(const ModelInfo& info, const std::vector<ParameterRow>& table);
WrittenModel write_hf_dinov3(const ModelInfo& info, const std::vector<ParameterRow>& table);
WrittenModel write_hf_clip(const ModelInfo& info, const std::vector<ParameterRow>& table);
WrittenModel write_hf_siglip(const ModelInfo& info, const std::vector<ParameterRow>& table);
WrittenModel write_hf_aimv2(const ModelInfo& info, const std::vector<ParameterRow>& table);
WrittenModel write_hf_internvl(const ModelInfo& info, const std::vector<ParameterRow>& table);
/// A table's parameters as files with timm's names have them.
std::vector<WrittenTensor> under_timms_names(const std::vector<ParameterRow>& table);
/// What of a model's function big_vision's models never have, in words; "" for nothing.
std::string not_in_big_vision(const ViTConfig& config);
/// Arrays under big_vision's names, "params/…".
WrittenModel write_big_vision(const ModelInfo& info, const std::vector<ParameterRow>& table);
/// timm's classes VisionTransformer and Eva.
WrittenModel write_timm(const ModelInfo& info, const std::vector<ParameterRow>& table);

}  // namespace vit22b
