#include "checkpoint/import/timm.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoint/import/importer.h"
#include "checkpoint/import/shapes.h"
#include "checkpoint/import/timm_args.h"
#include "checkpoint/import/timm_map.h"
#include "checkpoint/import/timm_preprocessing.h"
#include "checkpoint/weights.h"
#include "core/error.h"
#include "core/json.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kTimmEps = 1e-6, kClipEps = 1e-5;

void read_size(const Json& json, ImageSize& size) {
  if (json.is_number_integer()) size = {whole_number(json), whole_number(json)};
  if (json.is_array() && json.size() >= 2)
    size = {whole_number(json[json.size() - 2]), whole_number(json[json.size() - 1])};
}

/// What timm takes from pretrained_cfg for a model of which neither model_args nor the architecture
/// says it: sizes of the image where they are fixed, channels, classes.
Json defaults_of(const Json& json, const Json& cfg) {
  Json defaults = Json::object();
  for (const Json* place : {&cfg, &json})  // the whole file's number of classes counts
    if (place->contains("num_classes") && place->at("num_classes").is_number_integer() &&
        place->at("num_classes") >= 0)
      defaults["num_classes"] = place->at("num_classes");
  if (cfg.contains("global_pool")) defaults["global_pool"] = cfg.at("global_pool");
  const Json size = cfg.value("input_size", Json());
  if (!size.is_array() || size.size() != 3) return defaults;
  defaults["in_chans"] = size[0];
  if (cfg.value("fixed_input_size", Json()) == true) defaults["img_size"] = {size[1], size[2]};
  return defaults;
}

/// The numbers of blocks and of hidden units are the weights': a model may be cut short.
void take_shapes(const RenamedTensors& tensors, const Json& args, const std::string& place,
                 const std::string& weights, ViTConfig& c) {
  const int64_t depth = tensors.depth(), hidden = tensors.size("blocks.0.mlp.fc2.weight", 1);
  if (depth == 0)
    throw CheckpointError(weights, ": there is no tensor 'blocks.0.",
                          c.is_parallel() ? "in_proj" : "attn.qkv",
                          ".weight': these are no weights of timm's ", c.name);
  if (const Json said = args.value("depth", Json()); !said.is_null() && said != depth)
    throw CheckpointError(place, ": model_args has depth ", said.dump(), ", the weights ", depth,
                          " blocks");
  c.depth = depth;
  if (c.mlp.swiglu && hidden > 0) c.mlp.mlp_hidden = hidden;  // rounded up by the class
}

/// Weights that were trained with OpenAI's sigmoid GELU, whatever the architecture of their folder
/// has: the tags whose open_clip configurations say quick_gelu.
bool is_quick(const std::string& tag, const std::string& architecture) {
  constexpr std::string_view kQuick[] = {"openai", "metaclip_400m", "metaclip_2pt5b", "dfn2b",
                                         "dfn5b"};
  const auto begins = [&](std::string_view with) { return tag.starts_with(with); };
  if (std::find(std::begin(kQuick), std::end(kQuick), tag) != std::end(kQuick)) return true;
  if (begins("laion400m_e3")) return architecture.find("patch32") != std::string::npos;
  return tag == "metaclip2_worldwide" && architecture.starts_with("vit_huge_patch14_clip_224");
}

void take_activation(const Json& json, const Json& args, ModelInfo& info) {
  const auto architecture = json.at("architecture").get<std::string>();
  note_origin(info, "act_layer", "timm's " + architecture);
  const bool is_clips = architecture.find("_clip_") != std::string::npos;
  if (!is_clips || args.contains("act_layer") || info.config.mlp.act_layer != "gelu" ||
      !is_quick(*info.tag, architecture))
    return;
  info.config.mlp.act_layer = "quick_gelu";
  note_origin(info, "act_layer",
              concat("the weights' tag, ", *info.tag,
                     ": they were trained with it, though the architecture named has gelu"));
}

/// The image size is the one that the position table is for: pretrained_cfg's, where timm would not
/// fix it, may be another.
void take_image_size(const TensorContainer& weights, const Json& cfg, const std::string& place,
                     ViTConfig& c) {
  if (!weights.contains("pos_embed")) return;
  const std::vector<int64_t>& shape = weights.tensor("pos_embed").shape;
  const int64_t rows = shape.size() == 3 ? shape[1] : 0;
  if (rows == c.position_rows()) return;
  ViTConfig other = c;
  if (cfg.contains("input_size")) read_size(cfg.at("input_size"), other.img_size);
  take_edge(other);
  other.validate();
  if (rows != other.position_rows())
    throw CheckpointError(weights.place().string(), ": the position table 'pos_embed' has ", rows,
                          " rows, images of ", c.img_size.height, "x", c.img_size.width, " have ",
                          c.position_rows(),
                          "; give the size that it is for as img_size in model_args of ", place);
  c.img_size = other.img_size;
  take_edge(c);
}

/// timm itself looks for the pool in the arguments alone, and writes into the file what the model
/// had.
void check_pool(const Json& json, const std::string& place, const ViTConfig& c) {
  const Json said = json.contains("pretrained_cfg") ? json.value("global_pool", Json()) : Json();
  if (said.is_string() && said != c.pool.global_pool)
    throw CheckpointError(place, ": global_pool is '", said.get<std::string>(),
                          "', but timm builds ", c.name, " with '", c.pool.global_pool,
                          "'; write the one that is meant into model_args");
}

/// Of a Hub folder: in pretrained_cfg, or behind the dot of the architecture's name.
std::string tag_of(const Json& json) {
  const Json cfg = json.value("pretrained_cfg", Json::object());
  if (cfg.is_object() && cfg.contains("tag") && cfg.at("tag").is_string())
    return cfg.at("tag").get<std::string>();
  const std::string architecture = json.value("architecture", "");
  const size_t dot = architecture.find('.');
  return dot == std::string::npos ? "" : architecture.substr(dot + 1);
}

/// Whether timm's arguments in a file can say all that a model computes: some of it takes classes
/// of Python, or another class than VisionTransformer.
bool has_words_for(const ViTConfig& c) {
  return !c.mlp.swiglu && c.mlp.mlp_hidden == 0 && !c.attention.qk_norm_width &&
         !c.norm.post_norm && !c.norm.embed_norm && c.tokens.pos_embed != "sincos" &&
         c.rotary.rope == "none" && c.pool.global_pool != "cls_avg" &&
         c.pool.global_pool != "none" && c.pool.pool_heads == 0 && c.pool.pool_mlp_ratio == 0 &&
         c.pool.pool_act == "same" && c.pool.pool_mlp && !c.plex.is_heteroscedastic() &&
         !c.plex.has_members() &&
         !(c.is_parallel() && (c.norm.attn_norm || c.norm.mlp_norm || !c.attention.proj_bias));
}

/// timm has no argument for a norm's eps: it goes with the architecture; "" where none has it.
std::string architecture_for(const ViTConfig& c) {
  if (!has_words_for(c)) return "";
  if (c.norm.norm_eps == kTimmEps)
    return c.is_parallel() ? "vit_base_patch16_xp_224" : "vit_base_patch16_224";
  const bool is_clips =
      !c.is_parallel() && c.norm.norm_layer == "layernorm" && c.norm.norm_eps == kClipEps;
  return is_clips ? "vit_base_patch16_clip_224" : "";
}

}  // namespace

bool is_timm(const ImportFiles& files) {
  const Json architecture = files.config.value("architecture", Json());
  return architecture.is_string() && !architecture.get_ref<const std::string&>().empty();
}

ModelInfo describe_timm(const ImportFiles& files) {
  const Json& json = files.config;
  const std::string& place = files.config_place;
  const Json args = json.value("model_args", Json::object());
  const Json cfg = json.value("pretrained_cfg", json);
  ModelInfo info;
  ViTConfig& c = info.config;
  c = model_of_timm_args({json.at("architecture").get<std::string>(), args.dump(),
                          defaults_of(json, cfg).dump(), place});
  check_pool(json, place, c);
  const TensorContainer weights = open_weights(files.checkpoint);
  take_shapes(renamed_timm(weights, c.num_heads), args, place, weights.place().string(), c);
  c.validate();
  take_image_size(weights, cfg, place, c);
  info.pp_eval = timm_pp_eval(cfg, c);
  info.tag = tag_of(json);
  take_activation(json, args, info);
  return info;
}

TensorMap map_timm(const ImportFiles& files, const std::vector<ParameterRow>& table,
                   const TensorContainer& weights) {
  TensorMap map = renamed_timm(weights, describe_timm(files).config.num_heads).map(table);
  add_twins(table, weights, map);
  return map;
}

std::string timm_config_text(const ViTConfig& c, const std::string& pp_eval) {
  const std::string architecture = architecture_for(c);
  Json args = {{"img_size", {c.img_size.height, c.img_size.width}},
               {"patch_size", c.patch_size},
               {"in_chans", c.in_chans},
               {"num_classes", c.head_outputs()},
               {"embed_dim", c.embed_dim},
               {"depth", c.depth},
               {"num_heads", c.num_heads},
               {"mlp_ratio", c.mlp.mlp_ratio},
               {"qkv_bias", c.attention.qkv_bias},
               {"qk_norm", c.attention.qk_norm},
               {"class_token", c.tokens.class_token},
               {"reg_tokens", c.tokens.reg_tokens},
               {"no_embed_class", c.tokens.no_embed_class},
               {"pre_norm", c.norm.pre_norm},
               {"global_pool", c.pool.global_pool},
               {"fc_norm", c.norm.fc_norm},
               {"final_norm", c.norm.final_norm},
               {"pool_include_prefix", c.pool.pool_include_prefix},
               {"act_layer", c.mlp.act_layer}};
  if (c.tokens.pos_embed != "learn") args["pos_embed"] = c.tokens.pos_embed;
  if (!c.attention.proj_bias) args["proj_bias"] = false;
  if (c.norm.attn_norm) args["scale_attn_norm"] = true;
  if (c.norm.mlp_norm) args["scale_mlp_norm"] = true;
  if (c.init_values > 0) args["init_values"] = c.init_values;
  if (c.norm.norm_eps == kTimmEps)
    args["norm_layer"] = c.norm.norm_layer;  // else the architecture's own
  return timm_config_text(c, pp_eval, architecture, args);
}

std::string timm_config_text(const ViTConfig& c, const std::string& pp_eval,
                             const std::string& architecture, const Json& model_args) {
  Json pretrained = {{"tag", "vit22b"},
                     {"custom_load", false},
                     {"input_size", {c.in_chans, c.img_size.height, c.img_size.width}},
                     {"fixed_input_size", true},
                     {"num_classes", c.head_outputs()},
                     {"pool_size", nullptr},
                     {"first_conv", "patch_embed.proj"},
                     {"classifier", "head"}};
  pretrained.update(timm_preprocessing(pp_eval, c));
  Json json = Json::object();
  if (!architecture.empty()) json["architecture"] = architecture;
  json.update({{"num_classes", c.head_outputs()},
               {"num_features", c.embed_dim},
               {"global_pool", c.pool.global_pool},
               {"model_args", model_args},
               {"pretrained_cfg", pretrained}});
  return json.dump();
}

}  // namespace vit22b
