#include "checkpoint/model_info.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/import/depth_head.h"
#include "checkpoint/import/given.h"
#include "checkpoint/import/importer.h"
#include "checkpoint/import/own.h"
#include "checkpoint/manifest.h"
#include "checkpoint/weights.h"
#include "core/checksum.h"
#include "core/error.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr double kCropFraction = 0.9;  // timm's default for plain ViTs

/// Pixels of published models that are presets.
struct PresetPixels {
  std::string_view name;
  PixelScale scale;
  bool is_squashed;
};
constexpr PresetPixels kPresetPixels[] = {
    {"dinov2_g", kImageNetScale, false}, {"siglip2_giant", kAroundHalf, true},
    {"clip_bigg", kClipScale, false},    {"pe_core_g", kAroundHalf, true},
    {"aimv2_3b", kClipScale, false},     {"internvit_6b", kImageNetScale, true},
    {"dinov3_7b", kImageNetScale, true}, {"eva_clip_8b", kClipScale, false},
    {"eva_clip_18b", kClipScale, false}};

}  // namespace

std::string default_pp_eval(const ViTConfig& c) {
  for (const PresetPixels& pixels : kPresetPixels)
    if (c.name == pixels.name && c.in_chans == 3) {
      ModelInfo info{.config = c};
      take_pixels(pixels.scale, pixels.is_squashed, info);
      return info.pp_eval;
    }
  const auto resized = [](int64_t side) {
    return std::llround(std::floor(static_cast<double>(side) / kCropFraction));
  };
  const std::string channels = c.in_chans == 1 ? "|gray" : "|rgb";
  if (c.img_size.height == c.img_size.width)
    return concat("decode", channels, "|resize_small(", resized(c.img_size.height),
                  ",bicubic)|central_crop(", c.img_size.height, ")|value_range(-1,1)");
  return concat("decode", channels, "|resize(", c.img_size.height, ",", c.img_size.width,
                ",bicubic)|value_range(-1,1)");
}

ModelInfo read_model_info(const CheckpointPath& checkpoint) {
  ModelInfo info;
  with_import_files(checkpoint, [&](const ImportFiles& files) {
    const Importer& importer = importer_of(files);
    info = describe(importer, files);
    info.family = importer.name;
    if (!files.part.empty()) note_origin(info, "weights", files.part);
    take_depth_head(files, info);
    apply_given(files, info);
    info.config.validate();
    if (files.config.contains("label_names") && files.config.at("label_names").is_array())
      info.label_names = files.config.at("label_names").get<std::vector<std::string>>();
  });
  return info;
}

namespace {

// Fields that say nothing of the function: sizes, what counts for training alone, and what the
// other kind of tower has.
std::set<std::string> fields_elsewhere(ViTConfig config) {
  std::set<std::string> keys = {"name",       "patch_size",     "in_chans",
                                "embed_dim",  "depth",          "mlp_ratio",
                                "vocab_size", "context_length", "head_bias_init"};
  const auto add = [&keys](auto& group) {
    for (const FieldText& field : list_fields([&](FieldVisitor& v) { group.fields(v); }))
      keys.insert(field.key);
  };
  if (config.reads_words()) {
    add(config.tokens);
    add(config.rotary);
    add(config.pool);
    keys.insert({"img_size", "num_classes", "pre_norm", "embed_norm", "fc_norm"});
  } else {
    add(config.text);
  }
  if (!config.plex.is_heteroscedastic() && !config.plex.has_members()) add(config.plex);
  keys.insert("batch_ensemble_sign");
  keys.erase("joint_dim");
  return keys;
}

}  // namespace

std::vector<FunctionField> function_of(const ModelInfo& info) {
  const std::set<std::string> elsewhere = fields_elsewhere(info.config);
  ViTConfig config = info.config;
  config.mlp.mlp_hidden = config.mlp_dim();
  const bool is_own = info.family == "vit22b";
  const auto from = [&](const std::string& field) {
    const auto it = info.origins.find(field);
    if (it != info.origins.end()) return it->second;
    return is_own ? std::string("config.json") : concat("tensors, or what ", info.family, " is");
  };
  std::vector<FunctionField> fields;
  for (const FieldText& field : list_fields([&](FieldVisitor& v) { config.fields(v); }))
    if (elsewhere.count(field.key) == 0)
      fields.push_back({field.key, field.value, from(field.key)});
  if (!info.config.reads_words()) fields.push_back({"pp_eval", info.pp_eval, from("pp_eval")});
  if (const AdapterConfig& adapters = info.config.adapters; adapters.exist())
    fields.push_back({"lora",
                      concat("rank ", adapters.rank, ", alpha ", adapters.alpha, ", targets ",
                             join(adapters.targets, ", ")),
                      "config.json"});
  if (info.segmentation)
    fields.push_back(
        {"segmentation",
         concat(info.segmentation->head.head, ", ", info.segmentation->num_classes(), " classes"),
         "config.json"});
  if (info.depth)
    fields.push_back(
        {"depth",
         concat(info.depth->head.head, ", ", info.depth->output.output, ", ",
                info.depth->output.is_relative() ? info.depth->output.unit()
                                                 : concat(info.depth->output.min_depth, " to ",
                                                          info.depth->output.max_depth, " m")),
         from("depth")});
  if (info.base) fields.push_back({"base", info.base->place, "config.json"});
  return fields;
}

std::string model_fingerprint(const CheckpointPath& checkpoint) {
  std::string text = fields_text(read_model_info(checkpoint).config);
  std::vector<fs::path> unrecorded;
  const Manifest manifest = read_manifest(checkpoint.folder);
  for (const fs::path& path : open_weights(checkpoint).files()) {
    const auto it = manifest.find(path.filename().string());
    if (it == manifest.end()) {
      unrecorded.push_back(path);
      continue;
    }
    text += concat(it->first, " ", it->second.hash, "\n");
    for (const auto& [tensor, hash] : it->second.tensors) text += concat(tensor, " ", hash, "\n");
  }
  if (!unrecorded.empty()) text += file_fingerprint(unrecorded);
  return hash_of_text(text);
}

}  // namespace vit22b
