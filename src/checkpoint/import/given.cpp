#include "checkpoint/import/given.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoint/adapters.h"
#include "core/error.h"
#include "core/text.h"
#include "data/preprocessing.h"

namespace vit22b {
namespace {

constexpr std::string_view kModel = "model.", kText = "text.", kDepth = "depth.",
                           kOfBoth = "act_layer=";

/// Fields that names and shapes of tensors tell.
constexpr std::string_view kOfShapes[] = {
    "embed_dim", "depth",       "patch_size",    "in_chans",   "reg_tokens", "class_token",
    "swiglu",    "mlp_hidden",  "norm_layer",    "qkv_bias",   "proj_bias",  "qk_norm",
    "attn_norm", "mlp_norm",    "qk_norm_width", "pre_norm",   "embed_norm", "final_norm",
    "fc_norm",   "num_classes", "joint_dim",     "init_values"};

/// Widths of published models and their heads; V-JEPA 2-g (1408, 22) and AIMv2 say theirs.
struct KnownHeads {
  int64_t width, heads;
};
constexpr KnownHeads kHeads[] = {{192, 3},   {384, 6},   {512, 8},   {768, 12},  {1024, 16},
                                 {1152, 16}, {1280, 16}, {1408, 16}, {1536, 24}, {1664, 16},
                                 {1792, 16}, {2048, 16}, {2432, 32}, {3072, 24}, {3200, 25},
                                 {4096, 32}, {5120, 40}};

/// Of such a checkpoint it may be said where the base is: find_base reads that.
bool stands_beside_base(const ImportFiles& files) {
  return files.config.contains("vit22b") && files.config.at("vit22b").contains("base");
}

/// What is given of the tower that the checkpoint's place names: of a text tower as
/// "text.KEY=VALUE", and its activation, which is that of both unless that says otherwise.
ConfigTree given_tree(const ImportFiles& files) {
  const bool is_text = files.checkpoint.tower == kTextTower;
  ConfigTree tree;
  for (std::string part : split(files.checkpoint.given, '&')) {
    if (part.starts_with(kGivenBase) && stands_beside_base(files)) continue;
    if (part.starts_with(kDepth)) continue;
    if (part.starts_with(kModel)) part = part.substr(kModel.size());
    const bool is_of_text = part.starts_with(kText);
    if (is_of_text) part = part.substr(kText.size());
    const bool is_of_both = part.starts_with(kOfBoth) && tree.count("act_layer") == 0;
    if (!part.empty() && (is_of_text == is_text || (is_text && is_of_both)))
      set_override(tree, part);
  }
  return tree;
}

std::map<std::string, std::string> values_of(ViTConfig config) {
  std::map<std::string, std::string> values;
  for (const FieldText& field : list_fields([&](FieldVisitor& v) { config.fields(v); }))
    values[field.key] = field.value;
  return values;
}

// Whether something says a field for certain: a tensor, or a key of a file.
bool is_said(const ImportFiles& files, const ModelInfo& info, const std::string& field) {
  const auto origin = info.origins.find(field);
  if (origin != info.origins.end())
    return origin->second.find(".json") != std::string::npos &&
           !origin->second.starts_with("the default");
  return files.names.empty() ||
         std::find(std::begin(kOfShapes), std::end(kOfShapes), field) != std::end(kOfShapes);
}

std::string name_of(const ImportFiles& files, const std::string& field) {
  return concat(kModel, files.checkpoint.tower == kTextTower ? kText : "", field);
}

}  // namespace

ConfigTree given_of_depth(const ImportFiles& files) {
  ConfigTree tree;
  for (const std::string& part : split(files.checkpoint.given, '&'))
    if (part.starts_with(kDepth)) set_override(tree, part.substr(kDepth.size()));
  return tree;
}

bool is_given(const ImportFiles& files, const std::string& field) {
  return given_tree(files).count(field) != 0;
}

std::string given_word(const ImportFiles& files, const std::string& field) {
  const ConfigTree tree = given_tree(files);
  const auto given = tree.find(field);
  const auto* word = given == tree.end() ? nullptr : std::get_if<std::string>(&given->second.value);
  return word == nullptr ? "" : *word;
}

void apply_given(const ImportFiles& files, ModelInfo& info) {
  const ConfigTree tree = given_tree(files);
  if (tree.empty()) return;
  const auto before = values_of(info.config);
  apply_config(tree, [&](FieldVisitor& v) { info.config.fields(v); });
  const auto after = values_of(info.config);
  for (const auto& [key, value] : tree) {
    if (before.at(key) != after.at(key) && is_said(files, info, key))
      throw UsageError(name_of(files, key), " is given as ", after.at(key), ", but ",
                       files.config_place, " has ", before.at(key), "; leave it away");
    note_origin(info, key, "given");
  }
}

void take_heads(const ImportFiles& files, ModelInfo& info) {
  ViTConfig& c = info.config;
  if (is_given(files, "num_heads")) return;
  for (const KnownHeads& known : kHeads)
    if (known.width == c.embed_dim) {
      c.num_heads = known.heads;
      note_origin(
          info, "num_heads",
          concat("the published models of width ", known.width, ", whose heads are ", known.heads));
      return;
    }
  throw CheckpointError(files.config_place, ": a model of width ", c.embed_dim,
                        " whose files do not say its attention heads; add model.num_heads=N behind "
                        "the checkpoint");
}

void take_pixels(const PixelScale& scale, bool is_squashed, ModelInfo& info) {
  const ViTConfig& c = info.config;
  const auto channels = static_cast<ptrdiff_t>(c.in_chans == 3 ? 3 : 1);
  Preprocessing p;
  p.channels = channels;
  p.is_pil = true;
  p.interpolation = "bicubic";
  p.resize = is_squashed ? Preprocessing::Resize::kSquash : Preprocessing::Resize::kCover;
  p.resize_height = c.img_size.height;
  p.resize_width = c.img_size.width;
  if (!is_squashed) {
    p.crop = Preprocessing::Crop::kOrPad;
    p.crop_height = c.img_size.height;
    p.crop_width = c.img_size.width;
    p.resize_to(1);
  }
  p.mean.assign(scale.mean.begin(), scale.mean.begin() + channels);
  p.stddev.assign(scale.stddev.begin(), scale.stddev.begin() + channels);
  info.pp_eval = p.text();
  note_origin(info, "pp_eval", "the family's own evaluations");
}

}  // namespace vit22b
