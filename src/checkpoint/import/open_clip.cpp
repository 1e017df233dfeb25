#include <nlohmann/json.hpp>

#include "checkpoint/import/clip_names.h"
#include "checkpoint/import/clip_words.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/given.h"
#include "checkpoint/import/timm_args.h"
#include "checkpoint/import/timm_map.h"
#include "core/error.h"
#include "core/json.h"
#include "data/preprocessing.h"

// open_clip's folders: open_clip_config.json, and towers of CLIP's own or of timm's.
namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kModule[] = {"module."};
constexpr NameRule kNormAfterPool = {"ln_post.", "fc_norm."};

Json or_null(const Json& json, const char* key) {
  return json.contains(key) ? json.at(key) : Json();
}

Json object_of(const Json& json, const char* key) {
  Json value = or_null(json, key);
  return value.is_object() ? value : Json::object();
}

std::string word_of(const Json& json, const char* key) {
  const Json value = or_null(json, key);
  return value.is_string() ? value.get<std::string>() : "";
}

/// Where a field is from: a key of the config's, or what open_clip takes without it.
std::string origin_of(const Json& json, const char* key) {
  return json.contains(key)
             ? concat("open_clip_config.json, ", key)
             : concat("the default of open_clip, whose ", key, " open_clip_config.json leaves out");
}

void take_preprocessing(const ImportFiles& files, ModelInfo& info) {
  const Json cfg = object_of(files.config, "preprocess_cfg");
  const auto mode = cfg.value("resize_mode", std::string("shortest"));
  if (mode != "shortest" && mode != "squash")
    throw CheckpointError(files.config_place, ": resize_mode is '", mode,
                          "', want shortest or squash");
  take_pixels(kClipScale, mode == "squash", info);
  if (cfg.empty()) return;
  Preprocessing p = *parse_preprocessing(info.pp_eval);
  p.interpolation = cfg.value("interpolation", std::string("bicubic"));
  if (const Json mean = or_null(cfg, "mean"); mean.is_array())
    p.mean = mean.get<std::vector<double>>();
  if (const Json stddev = or_null(cfg, "std"); stddev.is_array())
    p.stddev = stddev.get<std::vector<double>>();
  info.pp_eval = p.text();
  note_origin(info, "pp_eval", "open_clip_config.json, preprocess_cfg");
}

void take_image_size(const Json& vision, ViTConfig& c) {
  const Json size = or_null(vision, "image_size");
  if (size.is_number_integer()) c.img_size = {whole_number(size), whole_number(size)};
  if (size.is_array() && size.size() == 2)
    c.img_size = {whole_number(size[0]), whole_number(size[1])};
}

void check_layers(const ImportFiles& files, const Json& tower, const ViTConfig& c) {
  const Json layers = or_null(tower, "layers");
  if (layers.is_number_integer() && whole_number(layers) != c.depth)
    throw CheckpointError(files.config_place, ": layers is ", layers.dump(), ", the tensors' are ",
                          c.depth);
}

std::string activation_of(const ImportFiles& files, const Json& model, const Json& tower) {
  if (model.value("quick_gelu", false)) return "quick_gelu";
  const Json approximate = or_null(object_of(tower, "act_kwargs"), "approximate");
  if (approximate.is_null() || approximate == "none") return "gelu";
  if (approximate == "tanh") return "gelu_tanh";
  throw CheckpointError(files.config_place, ": act_kwargs' approximate is ", approximate.dump(),
                        ", want \"tanh\" or \"none\"");
}

Imported read_own_tower(const ImportFiles& files, const TensorContainer& weights,
                        const Json& vision) {
  std::vector<NameRule> rules(std::begin(kClipRules), std::end(kClipRules));
  if (vision.value("final_ln_after_pool", false)) rules.insert(rules.begin(), kNormAfterPool);
  RenamedTensors tensors(weights, kModule, rules, {"visual.", kClipText});
  tensors.make("patch_embed.proj.bias", made_zeros);
  ModelInfo info;
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  check_centred_norms(c, files.config_place);
  check_layers(files, vision, c);
  constexpr int64_t kHeadWidth = 64;
  const Json head = or_null(vision, "head_width");
  const int64_t head_width = head.is_null() ? kHeadWidth : whole_number(head);
  if (head_width < 1 || c.embed_dim % head_width != 0)
    throw CheckpointError(files.config_place, ": head_width ", head_width,
                          " does not divide the width ", c.embed_dim);
  c.num_heads = c.embed_dim / head_width;
  note_origin(info, "num_heads", origin_of(vision, "head_width"));
  const Json model = files.config.at("model_cfg");
  c.mlp.act_layer = activation_of(files, model, vision);
  note_origin(info, "act_layer", origin_of(model, "quick_gelu"));
  const Json norm = object_of(vision, "norm_kwargs");
  c.norm.norm_eps = norm.value("eps", 1e-5);
  note_origin(info, "norm_eps", origin_of(norm, "eps"));
  c.tokens.no_embed_class = false;
  const auto pool = vision.value("pool_type", std::string("tok"));
  c.pool.global_pool = pool == "avg" ? "avg" : pool == "none" ? "none" : "token";
  if (c.norm.fc_norm && c.pool.global_pool != "avg") {
    // The norm of one token is the same before as after it is taken.
    throw CheckpointError(files.config_place, ": final_ln_after_pool with pool_type '", pool,
                          "' is not supported; want avg");
  }
  take_image_size(vision, c);
  take_edge(c);
  return {info, tensors};
}

Imported read_timm_tower(const ImportFiles& files, const TensorContainer& weights,
                         const Json& vision) {
  const auto name = vision.at("timm_model_name").get<std::string>();
  Json args = Json::object();
  if (const Json pool = or_null(vision, "timm_pool"); pool.is_string()) args["global_pool"] = pool;
  if (const Json size = or_null(vision, "image_size"); !size.is_null()) args["img_size"] = size;
  ModelInfo info;
  ViTConfig& c = info.config = model_of_timm_args({name, args.dump(), "{}", files.config_place});
  RenamedTensors tensors = renamed_timm(weights, c.num_heads, {"visual.trunk.", kClipText});
  const ViTConfig shapes = config_of_shapes(tensors, files.config_place);
  if (shapes.embed_dim != c.embed_dim) take_heads(files, info);
  c.embed_dim = shapes.embed_dim;
  c.depth = shapes.depth;
  c.patch_size = shapes.patch_size;
  c.mlp.mlp_hidden = shapes.mlp.mlp_hidden;
  c.num_classes = shapes.num_classes;
  for (const char* field : {"num_heads", "act_layer", "norm_eps", "pool_heads"})
    note_origin(info, field, "timm's " + name);
  return {info, tensors};
}

// How open_clip's tokenizer cleans texts; its own takes lower case, transformers' what is said.
TokenizerOptions words_of(const ImportFiles& files, const Json& text) {
  const bool is_transformers = or_null(text, "hf_tokenizer_name").is_string();
  if (const std::string mode = word_of(text, "tokenizer_mode"); !mode.empty())
    throw CheckpointError(files.config_place, ": tokenizer_mode \"", mode, "\" is not supported");
  const Json how = object_of(text, "tokenizer_kwargs");
  for (const auto& [key, value] : how.items())
    if (key != "clean" && key != "strip_sep_token")
      throw CheckpointError(files.config_place, ": tokenizer_kwargs' ", key, " is not supported");
  TokenizerOptions words{.blanks_end = how.value("strip_sep_token", false)};
  const auto clean = how.value("clean", std::string(is_transformers ? "whitespace" : "lower"));
  constexpr std::pair<std::string_view, Cleaning> kKinds[] = {
      {"whitespace", Cleaning::kCaption},
      {"lower", Cleaning::kCaptionLower},
      {"canonicalize", Cleaning::kCaptionCanonical}};
  for (const auto& [name, cleaning] : kKinds)
    if (clean == name) words.cleaning = cleaning;
  if (words.cleaning == Cleaning::kOfKind)
    throw CheckpointError(files.config_place, ": tokenizer_kwargs' clean is '", clean,
                          "', want whitespace, lower or canonicalize");
  return words;
}

// Which word of a text stands for all.
void take_words_pool(const ImportFiles& files, const Json& text, ViTConfig& c) {
  constexpr int64_t kEnd = 2;
  const auto pool = text.value("pool_type", std::string("argmax"));
  if (pool != "argmax" && pool != "last" && pool != "eos")
    throw CheckpointError(files.config_place, ": text_cfg's pool_type is '", pool,
                          "', want argmax, last or eos");
  c.text.text_pool = pool;
  c.text.eos_id = text.contains("eos_id") ? whole_number(text.at("eos_id")) : kEnd;
}

}  // namespace

bool is_open_clip(const ImportFiles& files) {
  return files.config.contains("model_cfg") && files.config.at("model_cfg").is_object() &&
         files.config.at("model_cfg").contains("vision_cfg");
}

Imported read_open_clip(const ImportFiles& files, const TensorContainer& weights) {
  const Json& vision = files.config.at("model_cfg").at("vision_cfg");
  const bool is_timms = or_null(vision, "timm_model_name").is_string();
  Imported model =
      is_timms ? read_timm_tower(files, weights, vision) : read_own_tower(files, weights, vision);
  model.info.config.name = "open_clip";
  take_projection(model.tensors, model.info.config);
  take_preprocessing(files, model.info);
  return model;
}

Imported read_open_clip_text(const ImportFiles& files, const TensorContainer& weights) {
  const Json cfg = files.config.at("model_cfg"), text = object_of(cfg, "text_cfg");
  if (const std::string name = word_of(text, "hf_model_name"); !name.empty())
    throw CheckpointError(files.config_place, ": its text tower is transformers' \"", name,
                          "\", which is not read; want one of open_clip's own");
  Imported model = read_clip_words(files, weights);
  ViTConfig& c = model.info.config;
  check_layers(files, text, c);
  constexpr int64_t kHeads = 8;
  const Json heads = or_null(text, "heads");
  c.num_heads = heads.is_null() ? kHeads : whole_number(heads);
  note_origin(model.info, "num_heads", origin_of(text, "heads"));
  c.mlp.act_layer = activation_of(files, cfg, text);
  note_origin(model.info, "act_layer", origin_of(cfg, "quick_gelu"));
  const Json norm = object_of(text, "norm_kwargs");
  c.norm.norm_eps = norm.value("eps", 1e-5);
  note_origin(model.info, "norm_eps", origin_of(norm, "eps"));
  c.text.causal = !text.value("no_causal_mask", false);
  take_words_pool(files, text, c);
  model.info.words = words_of(files, text);
  return model;
}

}  // namespace vit22b
