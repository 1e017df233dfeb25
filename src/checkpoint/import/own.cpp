#include "checkpoint/import/own.h"

#include <nlohmann/json.hpp>

#include "checkpoint/import/importer.h"
#include "checkpoint/import/timm.h"
#include "core/device.h"
#include "core/error.h"
#include "core/json.h"
#include "model/block_spec.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kFormat =
    1;  // of our own fields; raised when an older program would misread them

/// Our own fields as JSON, through their visitor: the same names as in a config file.
template <class Options>
Json fields_json(const Options& options) {
  Options copy = options;
  Json json = Json::object();
  for (const FieldText& field : list_fields([&](FieldVisitor& v) { copy.fields(v); }))
    json[field.key] = field.value;
  return json;
}

template <class Options>
void read_fields(const Json& json, const std::string& place, Options& options) {
  ConfigTree tree;
  for (const auto& [key, value] : json.items())
    set_override(tree, concat(key, "=", value.template get<std::string>()));
  for (auto& [key, value] : tree) value.origin = place;
  apply_config(tree, [&](FieldVisitor& v) { options.fields(v); });
}

ViTConfig config_from_fields(const Json& json, const std::string& place) {
  ViTConfig config;
  read_fields(json, place, config);
  config.validate();
  return config;
}

SegmentationInfo segmentation_from(const Json& json, const std::string& place,
                                   const ViTConfig& model) {
  SegmentationInfo info;
  read_fields(json.at("head"), place, info.head);
  read_fields(json.at("labels"), place, info.labels);
  info.names = json.at("names").get<std::vector<std::string>>();
  info.window = whole_number(json.at("window"));
  info.stride = whole_number(json.at("stride"));
  if (info.names.empty()) throw CheckpointError(place, ": its segmentation has no classes");
  info.head.check();
  info.head.blocks(model.depth);
  return info;
}

Json segmentation_json(const SegmentationInfo& info) {
  return {{"head", fields_json(info.head)},
          {"labels", fields_json(info.labels)},
          {"names", info.names},
          {"window", info.window},
          {"stride", info.stride}};
}

DepthInfo depth_from(const Json& json, const std::string& place, const ViTConfig& model) {
  DepthInfo info;
  read_fields(json.at("head"), place, info.head);
  read_fields(json.at("output"), place, info.output);
  info.is_padded_around = json.value("padded_around", false);
  info.head.check();
  info.head.blocks(model.depth);
  info.output.check();
  return info;
}

void check_format(const Json& json, const std::string& place) {
  const int64_t format = json.contains("format") ? whole_number(json.at("format")) : kFormat;
  if (format > kFormat)
    throw CheckpointError(place, " has format ", format, ", this vit22b (", program_version(),
                          ") reads up to ", kFormat,
                          "; it was written by a newer one: use that, or update");
}

TextInfo text_from(const Json& json, const std::string& place) {
  TextInfo text{config_from_fields(json.at("model"), place),
                json.at("tokenizer").get<std::string>(),
                json.at("tokenizer_xxh3_128").get<std::string>()};
  if (json.contains("templates"))
    text.templates = json.at("templates").get<std::vector<std::string>>();
  if (!text.config.reads_words() || text.tokenizer.find('/') != std::string::npos)
    throw CheckpointError(place, ": its text tower is none");
  return text;
}

AdapterConfig adapters_from(const Json& json) {
  return {whole_number(json.at("rank")), json.at("alpha").get<double>(),
          json.at("targets").get<std::vector<std::string>>()};
}

Json adapters_json(const AdapterConfig& adapters) {
  return {{"rank", adapters.rank}, {"alpha", adapters.alpha}, {"targets", adapters.targets}};
}

}  // namespace

bool is_own(const ImportFiles& files) {
  return files.config.contains("vit22b");
}

ModelInfo describe_own(const ImportFiles& files) {
  const Json& own = files.config.at("vit22b");
  check_format(own, files.config_place);
  ModelInfo info;
  info.config = config_from_fields(own.at("model"), files.config_place);
  info.pp_eval = own.at("pp_eval").get<std::string>();
  info.any_size = own.value("any_size", false);
  if (own.contains("adapters")) {
    info.config.adapters = adapters_from(own.at("adapters"));
    info.config.validate();
    block_spec(info.config);
  }
  if (own.contains("base"))
    info.base = {own.at("base").at("place").get<std::string>(),
                 own.at("base").at("identity").get<std::string>()};
  if (own.contains("segmentation"))
    info.segmentation = segmentation_from(own.at("segmentation"), files.config_place, info.config);
  if (own.contains("depth"))
    info.depth = depth_from(own.at("depth"), files.config_place, info.config);
  if (own.contains("text")) info.text = text_from(own.at("text"), files.config_place);
  return info;
}

std::string fields_text(const ViTConfig& config) {
  return fields_json(config).dump();
}

std::string model_info_text(const ModelInfo& info) {
  Json json = Json::parse(timm_config_text(info.config, info.pp_eval));
  if (!info.label_names.empty()) json["label_names"] = info.label_names;
  json["vit22b"] = {
      {"format", kFormat}, {"model", fields_json(info.config)}, {"pp_eval", info.pp_eval}};
  if (info.any_size) json["vit22b"]["any_size"] = true;
  if (info.config.adapters.exist())
    json["vit22b"]["adapters"] = adapters_json(info.config.adapters);
  if (info.base)
    json["vit22b"]["base"] = {{"place", info.base->place}, {"identity", info.base->identity}};
  if (info.segmentation) json["vit22b"]["segmentation"] = segmentation_json(*info.segmentation);
  if (info.depth)
    json["vit22b"]["depth"] = {{"unit", info.depth->output.unit()},
                               {"head", fields_json(info.depth->head)},
                               {"output", fields_json(info.depth->output)},
                               {"padded_around", info.depth->is_padded_around}};
  if (info.text)
    json["vit22b"]["text"] = {{"model", fields_json(info.text->config)},
                              {"tokenizer", info.text->tokenizer},
                              {"tokenizer_xxh3_128", info.text->tokenizer_hash},
                              {"templates", info.text->templates}};
  return json.dump(1) + "\n";
}

}  // namespace vit22b
