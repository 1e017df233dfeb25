#include "checkpoint/import/hf.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "checkpoint/import/given.h"
#include "checkpoint/import/timm_args.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "data/preprocessing.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kConfigLimit = 64 << 20;
constexpr double kByteScale = 1.0 / 255;

/// Names of activations in config.json, and ours: the first of several is written.
constexpr std::pair<std::string_view, std::string_view> kActivations[] = {
    {"gelu", "gelu"},           {"gelu_pytorch_tanh", "gelu_tanh"}, {"gelu_new", "gelu_tanh"},
    {"gelu_fast", "gelu_tanh"}, {"quick_gelu", "quick_gelu"},       {"silu", "silu"},
    {"swish", "silu"}};

ImageSize size_of(const Json& json, ImageSize otherwise) {
  if (json.is_number_integer()) return {whole_number(json), whole_number(json)};
  if (json.is_array() && json.size() == 2) return {whole_number(json[0]), whole_number(json[1])};
  if (json.is_object() && json.contains("height") && json.contains("width"))
    return {whole_number(json.at("height")), whole_number(json.at("width"))};
  return otherwise;
}

// Classes resize, rescale and normalise unless they are told not to.
bool flag_of(const Json& json, const char* key, bool otherwise = true) {
  return json.contains(key) && json.at(key).is_boolean() ? json.at(key).get<bool>() : otherwise;
}

bool crops(const Json& json) {
  return flag_of(json, "do_center_crop", json.contains("crop_size"));
}

std::vector<double> numbers_of(const Json& json, const char* key, double otherwise) {
  if (!json.contains(key) || json.at(key).is_null()) return {otherwise};
  if (json.at(key).is_number()) return {json.at(key).get<double>()};
  return json.at(key).get<std::vector<double>>();
}

/// One number means the short side to classes that crop, both sides to the others.
void take_resize(const Json& json, const std::string& place, const ViTConfig& c, Preprocessing& p) {
  if (!flag_of(json, "do_resize")) return;
  const Json of_model = {{"height", c.img_size.height}, {"width", c.img_size.width}};
  const Json& size = json.contains("size") ? json.at("size") : of_model;
  const Json& side =
      size.is_object() && size.contains("shortest_edge") ? size.at("shortest_edge") : size;
  const bool is_short = &side != &size || (size.is_number() && crops(json));
  const ImageSize sides = size_of(side, {0, 0});
  if (sides.height < 1 || sides.width < 1)
    throw CheckpointError(place, ": size is ", size.dump(),
                          ", want a number, {\"height\", \"width\"} or {\"shortest_edge\"}");
  p.resize = is_short ? Preprocessing::Resize::kShortSide : Preprocessing::Resize::kSquash;
  p.resize_height = sides.height;
  p.resize_width = sides.width;
  const int64_t method = json.contains("resample") ? whole_number(json.at("resample")) : 2;
  // DPT's and Depth Anything's classes.
  p.resize_multiple =
      json.contains("ensure_multiple_of") ? whole_number(json.at("ensure_multiple_of")) : 1;
  if (p.resize_multiple < 1)
    throw CheckpointError(place, ": ensure_multiple_of is ", p.resize_multiple, ", want 1 or more");
  if (flag_of(json, "keep_aspect_ratio", false))
    p.resize = Preprocessing::Resize::kMultiple;
  else if (p.resize_multiple > 1)
    for (int64_t* side : {&p.resize_height, &p.resize_width})
      *side = p.resize_multiple *
              std::llrint(static_cast<double>(*side) / static_cast<double>(p.resize_multiple));
  if (method < 0 || method >= static_cast<int64_t>(std::size(kResampling)))
    throw CheckpointError(place, ": resample is ", method, ", want 0 to 5");
  p.interpolation = kResampling[method];
}

void take_crop(const Json& json, const std::string& place, Preprocessing& p) {
  if (!crops(json)) return;
  const ImageSize crop = size_of(
      json.contains("crop_size") ? json.at("crop_size") : json.value("size", Json()), {0, 0});
  if (crop.height < 1 || crop.width < 1)
    throw CheckpointError(place, ": crop_size is ", json.value("crop_size", Json()).dump(),
                          ", want a number or {\"height\", \"width\"}");
  p.crop = Preprocessing::Crop::kCentral;
  p.crop_height = crop.height;
  p.crop_width = crop.width;
}

/// (pixel * rescale_factor - mean) / std as (pixel / 255 - mean') / std'.
void take_scale(const Json& json, Preprocessing& p) {
  const double factor = json.value("rescale_factor", kByteScale);
  const double by = flag_of(json, "do_rescale") ? factor / kByteScale : 1 / kByteScale;
  p.mean = flag_of(json, "do_normalize") ? numbers_of(json, "image_mean", 0) : std::vector{0.0};
  p.stddev = flag_of(json, "do_normalize") ? numbers_of(json, "image_std", 1) : std::vector{1.0};
  for (std::vector<double>* values : {&p.mean, &p.stddev})
    for (double& value : *values) value /= by;
}

/// What transformers' DPT classes do where the file does not say: otherwise than others.
void take_class_defaults(Json& json) {
  const Json type =
      json.value("image_processor_type", json.value("feature_extractor_type", Json()));
  if (!type.is_string() || !type.get_ref<const std::string&>().starts_with("DPT")) return;
  const Json half = {0.5, 0.5, 0.5}, side = {{"height", 384}, {"width", 384}};
  for (const auto& [key, value] : {std::pair<const char*, Json>{"resample", 3},
                                   {"image_mean", half},
                                   {"image_std", half},
                                   {"size", side}})
    if (!json.contains(key) || json.at(key).is_null()) json[key] = value;
}

Preprocessing preprocessing_of(const Json& json, const std::string& place, const ViTConfig& c) {
  Preprocessing p;
  p.channels = c.in_chans == 1 ? 1 : 3;
  p.is_pil = true;
  take_resize(json, place, c, p);
  take_crop(json, place, p);
  take_scale(json, p);
  return p;
}

// The tower's own object; without one the whole is an image tower's, and a text tower is all by its
// class's defaults. Old files of CLIP have a second, KEY_dict, which counts.
Json config_of_tower(const ImportFiles& files) {
  const bool is_text = files.checkpoint.tower == kTextTower;
  const std::string key = is_text ? "text_config" : "vision_config", other = key + "_dict";
  const auto has = [&](const std::string& name) {
    return files.config.contains(name) && files.config.at(name).is_object();
  };
  Json json = has(key) ? files.config.at(key) : is_text ? Json::object() : files.config;
  if (has(other)) json.update(files.config.at(other));
  return json;
}

// Another file of the folder's; nothing where it is not there.
std::optional<Json> settings_of(const ImportFiles& files, const char* name) {
  const std::filesystem::path path = files.checkpoint.folder / name;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return parse_json<Json>(read_text(path, ExitCode::kCheckpoint, kConfigLimit), path.string(),
                          ExitCode::kCheckpoint);
}

void take_labels(const Json& json, ModelInfo& info) {
  const Json names = json.value("id2label", Json());
  if (!names.is_object() || static_cast<int64_t>(names.size()) != info.config.num_classes) return;
  std::vector<std::string> labels(names.size());
  for (const auto& [key, name] : names.items()) {  // in no order
    const auto number = leading_number(key);
    if (!number || !number->second.empty() || number->first < 0 ||
        number->first >= static_cast<double>(labels.size()) || !name.is_string())
      return;
    labels[static_cast<size_t>(number->first)] = name.get<std::string>();
  }
  info.label_names = labels;
}

}  // namespace

std::string hf_activation(const std::string& act_layer) {
  for (const auto& [theirs, ours] : kActivations)
    if (ours == act_layer) return std::string(theirs);
  throw UsageError("transformers has no activation '", act_layer, "'");
}

HfConfig::HfConfig(const ImportFiles& files, ModelInfo& info)
    : files_(files),
      json_(std::make_shared<const Json>(config_of_tower(files))),
      info_(info),
      model_type_(files.config.value("model_type", "")) {}

const Json* HfConfig::find(const char* key, const std::string& field) {
  const bool is_there = json_->contains(key) && !json_->at(key).is_null();
  if (!field.empty())
    note_origin(info_, field,
                is_there ? concat("config.json, ", key)
                         : concat("the default of transformers' ", model_type_, ", whose ", key,
                                  " config.json leaves out"));
  return is_there ? &json_->at(key) : nullptr;
}

int64_t HfConfig::integer(const char* key, int64_t otherwise, const std::string& field) {
  const Json* value = find(key, field);
  return value == nullptr ? otherwise : whole_number(*value);
}

double HfConfig::number(const char* key, double otherwise, const std::string& field) {
  const Json* value = find(key, field);
  return value == nullptr ? otherwise : value->get<double>();
}

bool HfConfig::flag(const char* key, bool otherwise, const std::string& field) {
  const Json* value = find(key, field);
  return value == nullptr ? otherwise : value->get<bool>();
}

std::string HfConfig::word(const char* key, const std::string& otherwise,
                           const std::string& field) {
  const Json* value = find(key, field);
  return value == nullptr ? otherwise : value->get<std::string>();
}

ImageSize HfConfig::size(const char* key, ImageSize otherwise, const std::string& field) {
  const Json* value = find(key, field);
  return value == nullptr ? otherwise : size_of(*value, otherwise);
}

void HfConfig::check(const char* key, int64_t of_tensors) {
  const Json* value = find(key, "");
  if (value == nullptr || !value->is_number_integer() || whole_number(*value) == of_tensors) return;
  throw CheckpointError(files_.config_place, ": ", key, " is ", value->dump(), ", the tensors' is ",
                        of_tensors);
}

std::string HfConfig::activation(const std::string& otherwise) {
  const std::string given = word("hidden_act", otherwise, "act_layer");
  std::vector<std::string> known;
  for (const auto& [theirs, ours] : kActivations) {
    if (given == theirs) return std::string(ours);
    known.emplace_back(theirs);
  }
  throw CheckpointError(files_.config_place, ": hidden_act is '", given, "', want one of ",
                        join(known, ", "));
}

std::string HfConfig::architecture() const {
  const Json names = files_.config.value("architectures", Json());
  return names.is_array() && !names.empty() && names[0].is_string() ? names[0].get<std::string>()
                                                                    : "";
}

bool is_hf(const ImportFiles& files, std::span<const std::string_view> model_types) {
  const Json type = files.config.value("model_type", Json());
  return type.is_string() && std::find(model_types.begin(), model_types.end(),
                                       type.get_ref<const std::string&>()) != model_types.end();
}

void take_hf_blocks(HfConfig& config, const HfDefaults& defaults, ModelInfo& info) {
  ViTConfig& c = info.config;
  c.name = config.model_type();
  c.num_heads = config.integer("num_attention_heads", defaults.heads, "num_heads");
  c.norm.norm_eps = config.number(defaults.eps_key, defaults.eps, "norm_eps");
  c.mlp.act_layer = config.activation(defaults.activation);
  config.check("num_hidden_layers", c.depth);
  config.check("hidden_size", c.embed_dim);
}

void take_hf_model(const RenamedTensors& tensors, HfConfig& config, const HfDefaults& defaults,
                   ModelInfo& info) {
  ViTConfig& c = info.config;
  take_hf_blocks(config, defaults, info);
  if (tensors.shape("patch_embed.proj.weight").size() == 2) {
    c.patch_size = config.integer("patch_size", c.patch_size, "patch_size");
    c.in_chans = config.integer("num_channels", c.in_chans, "in_chans");
  }
  c.img_size = config.size("image_size", defaults.image, "img_size");
  take_edge(c);
  c.tokens.posemb_resize = defaults.posemb_resize;
  note_origin(info, "posemb_resize", concat("transformers' ", config.model_type()));
}

void take_hf_preprocessing(const ImportFiles& files, const PixelScale& otherwise, ModelInfo& info) {
  take_labels(files.config, info);
  const ViTConfig& c = info.config;
  constexpr const char* kName = "preprocessor_config.json";
  if (auto json = settings_of(files, kName)) {
    take_class_defaults(*json);
    const Preprocessing p = preprocessing_of(*json, (files.checkpoint.folder / kName).string(), c);
    info.pp_eval = p.text();
    info.any_size =
        p.height() > 0 && (p.height() != c.img_size.height || p.width() != c.img_size.width);
    note_origin(info, "pp_eval", kName);
    return;
  }
  take_pixels(otherwise, /*is_squashed=*/true, info);
  note_origin(info, "pp_eval", "the family's; there is no preprocessor_config.json");
}

}  // namespace vit22b
