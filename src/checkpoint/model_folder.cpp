#include "checkpoint/model_folder.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "checkpoint/import/timm.h"
#include "checkpoint/saver.h"
#include "core/error.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr size_t kConfigLimit = 64 << 20;
constexpr double kCropFraction = 0.9;  // timm's default for plain ViTs

/// Our own fields as JSON, through their visitor: the same names as in a config file.
Json fields_json(const ViTConfig& config) {
  ViTConfig copy = config;
  Json json = Json::object();
  for (const FieldText& field : list_fields([&](FieldVisitor& v) { copy.fields(v); }))
    json[field.key] = field.value;
  return json;
}

ViTConfig config_from_fields(const Json& json, const fs::path& path) {
  ConfigTree tree;
  for (const auto& [key, value] : json.items())
    set_override(tree, key + "=" + value.get<std::string>());
  for (auto& [key, value] : tree) value.origin = path.string();
  ViTConfig config;
  apply_config(tree, [&](FieldVisitor& v) { config.fields(v); });
  config.validate();
  return config;
}

}  // namespace

CheckpointPath resolve_checkpoint(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error))
    throw CheckpointError("checkpoint ", path.string(), " does not exist");
  if (fs::is_regular_file(path)) {
    if (path.extension() == ".safetensors" && fs::exists(path.parent_path() / "config.json"))
      return {path.parent_path().empty() ? fs::path(".") : path.parent_path()};
    throw CheckpointError(
        path.string(),
        " is no checkpoint: want a folder with config.json and model.safetensors, or a run folder");
  }
  if (fs::exists(path / "config.json")) return {path};
  if (fs::exists(path / "ckpt" / "latest" / "config.json"))
    return {fs::canonical(path / "ckpt" / "latest")};
  throw CheckpointError(path.string(),
                        " is no checkpoint: it holds neither config.json nor ckpt/latest");
}

std::string default_pp_eval(const ViTConfig& c) {
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

ModelInfo read_model_info(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  try {
    const Json json = Json::parse(read_text(path, ExitCode::kCheckpoint, kConfigLimit));
    ModelInfo info;
    if (json.contains("vit22b")) {
      info.config = config_from_fields(json.at("vit22b").at("model"), path);
      info.pp_eval = json.at("vit22b").at("pp_eval").get<std::string>();
    } else {
      info = import_timm_config(json.dump(), folder);
    }
    if (json.contains("label_names") && json.at("label_names").is_array())
      info.label_names = json.at("label_names").get<std::vector<std::string>>();
    return info;
  } catch (const Json::exception& e) {
    throw CheckpointError(path.string(), " is damaged (", e.what(), ")");
  } catch (const UsageError& e) {
    throw CheckpointError(path.string(), ": ", e.what());
  }
}

std::string model_info_text(const ModelInfo& info) {
  Json json = Json::parse(timm_config_text(info.config, info.pp_eval));
  if (!info.label_names.empty()) json["label_names"] = info.label_names;
  json["vit22b"] = {{"model", fields_json(info.config)}, {"pp_eval", info.pp_eval}};
  return json.dump(1) + "\n";
}

void write_model(FileOps& ops, const fs::path& folder, const ModelInfo& info,
                 const NamedTensors& weights, Manifest& manifest) {
  write_model(ops, folder, info, whole_parts(weights), single_process(), manifest);
}

void write_model(FileOps& ops, const fs::path& folder, const ModelInfo& info,
                 const NamedParts& weights, const Mesh& mesh, Manifest& manifest) {
  PartList parts;
  for (const ParameterRow& row : parameter_table(info.config)) {
    const TensorPart& weight = weights.at(row.name);
    if (row.local_name == "mlp_out_proj.bias") {
      std::string twin = row.name;
      parts.emplace_back(twin.replace(twin.find("mlp_out_proj"), 12, "attn_out_proj"),
                         TensorPart{weight.cut, at::zeros_like(weight.part)});
    }
    parts.emplace_back(row.name, weight);
  }
  manifest["model.safetensors"] =
      write_parts(ops, folder / "model.safetensors", parts, {{"format", "pt"}}, mesh);
  mesh.do_once(
      [&] { write_recorded_text(ops, folder, "config.json", model_info_text(info), manifest); });
}

}  // namespace vit22b
