#include "checkpoint/model_folder.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "checkpoint/import/timm.h"
#include "checkpoint/saver.h"
#include "checkpoint/two_towers.h"
#include "core/checksum.h"
#include "core/device.h"
#include "core/error.h"
#include "core/json.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr size_t kConfigLimit = 64 << 20;
constexpr int64_t kFormat =
    1;  // of our own fields; raised when an older program would misread them
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

void check_format(const Json& json, const fs::path& path) {
  const int64_t format = json.contains("format") ? whole_number(json.at("format")) : kFormat;
  if (format > kFormat)
    throw CheckpointError(path.string(), " has format ", format, ", this vit22b (",
                          program_version(), ") reads up to ", kFormat,
                          "; it was written by a newer one: use that, or update");
}

TextInfo text_from(const Json& json, const fs::path& path) {
  TextInfo text{config_from_fields(json.at("model"), path), json.at("tokenizer").get<std::string>(),
                json.at("tokenizer_xxh3_128").get<std::string>()};
  if (json.contains("templates"))
    text.templates = json.at("templates").get<std::vector<std::string>>();
  if (!text.config.reads_words() || text.tokenizer.find('/') != std::string::npos)
    throw CheckpointError(path.string(), ": its text tower is none");
  return text;
}

// Of a Hub folder: in pretrained_cfg, or behind the dot of the architecture's name.
std::string tag_of(const Json& json) {
  const Json cfg = json.value("pretrained_cfg", Json::object());
  if (cfg.is_object() && cfg.contains("tag") && cfg.at("tag").is_string())
    return cfg.at("tag").get<std::string>();
  const std::string architecture = json.value("architecture", "");
  const size_t dot = architecture.find('.');
  return dot == std::string::npos ? "" : architecture.substr(dot + 1);
}

}  // namespace

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

ModelInfo read_model_info(const CheckpointPath& checkpoint) {
  const fs::path path = checkpoint.folder / "config.json";
  const std::string text = read_text(path, ExitCode::kCheckpoint, kConfigLimit);
  try {
    const auto json = parse_json<Json>(text, path.string(), ExitCode::kCheckpoint);
    ModelInfo info;
    if (json.contains("vit22b")) {
      check_format(json.at("vit22b"), path);
      info.config = config_from_fields(json.at("vit22b").at("model"), path);
      info.pp_eval = json.at("vit22b").at("pp_eval").get<std::string>();
      info.any_size = json.at("vit22b").value("any_size", false);
      if (json.at("vit22b").contains("text"))
        info.text = text_from(json.at("vit22b").at("text"), path);
    } else {
      info = import_timm_config(text, checkpoint);
      info.tag = tag_of(json);
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

std::string model_fingerprint(const CheckpointPath& checkpoint) {
  std::string text = fields_json(read_model_info(checkpoint).config).dump();
  std::vector<fs::path> unrecorded;
  const Manifest manifest = read_manifest(checkpoint.folder);
  for (const fs::path& path : WeightFiles(checkpoint).paths()) {
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

std::string model_info_text(const ModelInfo& info) {
  Json json = Json::parse(timm_config_text(info.config, info.pp_eval));
  if (!info.label_names.empty()) json["label_names"] = info.label_names;
  json["vit22b"] = {
      {"format", kFormat}, {"model", fields_json(info.config)}, {"pp_eval", info.pp_eval}};
  if (info.any_size) json["vit22b"]["any_size"] = true;
  if (info.text)
    json["vit22b"]["text"] = {{"model", fields_json(info.text->config)},
                              {"tokenizer", info.text->tokenizer},
                              {"tokenizer_xxh3_128", info.text->tokenizer_hash},
                              {"templates", info.text->templates}};
  return json.dump(1) + "\n";
}

namespace {

/// A tensor of the file: a parameter's values, or the zeros of a parallel block's second bias.
struct TensorOnDisk {
  std::string name;
  const ParameterRow* row;
  bool is_zero = false;
};

std::vector<TensorOnDisk> tensors_on_disk(const std::vector<ParameterRow>& table) {
  std::vector<TensorOnDisk> tensors;
  for (const ParameterRow& row : table) {
    if (const std::string twin = twin_bias(row); !twin.empty())
      tensors.push_back({twin, &row, true});
    tensors.push_back({row.name, &row});
  }
  return tensors;
}

int64_t bytes_of(const TensorOnDisk& tensor, const WeightLayout& layout) {
  return tensor.row->count() *
         static_cast<int64_t>(c10::elementSize(held_type(*tensor.row, layout.dtype)));
}

// Files of at most that many bytes of tensors, each with at least one.
std::vector<std::vector<TensorOnDisk>> shards_of(const std::vector<TensorOnDisk>& tensors,
                                                 const WeightLayout& layout) {
  std::vector<std::vector<TensorOnDisk>> shards(1);
  int64_t bytes = 0;
  for (const TensorOnDisk& tensor : tensors) {
    const int64_t size = bytes_of(tensor, layout);
    if (layout.shard_bytes > 0 && bytes > 0 && bytes + size > layout.shard_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(tensor);
    bytes += size;
  }
  return shards;
}

// "model.safetensors", or "model-00002-of-00009.safetensors".
std::string shard_name(size_t index, size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

FileRecord write_shard(FileOps& ops, const fs::path& path, const std::vector<TensorOnDisk>& tensors,
                       const WholeTensor& whole, at::ScalarType dtype) {
  std::vector<TensorEntry> entries;
  entries.reserve(tensors.size());
  for (const TensorOnDisk& tensor : tensors)
    entries.push_back({tensor.name, held_type(*tensor.row, dtype), tensor.row->shape});
  const auto values = [&](size_t i) {
    return (tensors[i].is_zero ? at::zeros(tensors[i].row->shape) : whole(*tensors[i].row))
        .to(entries[i].dtype);
  };
  return write_safetensors(ops, path, entries, values, {{"format", "pt"}});
}

}  // namespace

void write_model(FileOps& ops, const fs::path& folder, const ModelInfo& info,
                 const WholeTensor& whole, const WeightLayout& layout, Manifest& manifest) {
  const std::vector<ParameterRow> table = parameter_table(info.config);
  const auto shards = shards_of(tensors_on_disk(table), layout);
  Json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", Json::object()}};
  int64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i, shards.size());
    manifest[name] = write_shard(ops, folder / name, shards[i], whole, layout.dtype);
    for (const TensorOnDisk& tensor : shards[i]) {
      index["weight_map"][tensor.name] = name;
      total += bytes_of(tensor, layout);
    }
  }
  index["metadata"]["total_size"] = total;
  if (shards.size() > 1)
    write_recorded_text(ops, folder, "model.safetensors.index.json", index.dump(1) + "\n",
                        manifest);
  write_recorded_text(ops, folder, "config.json", model_info_text(info), manifest);
}

void write_model(FileOps& ops, const fs::path& folder, const ModelInfo& info,
                 const NamedTensors& weights, Manifest& manifest) {
  const NamedParts parts = whole_parts(weights);
  write_model(ops, folder, info, PartsToWrite{parts}, single_process(), manifest);
}

void write_model(FileOps& ops, const fs::path& folder, const ModelInfo& info,
                 const PartsToWrite& weights, const Mesh& mesh, Manifest& manifest) {
  const auto write = [&](const ViTConfig& config, std::string_view prefix, const char* name) {
    const std::vector<ParameterRow> table = parameter_table(config);
    PartList parts;
    for (const TensorOnDisk& tensor : tensors_on_disk(table)) {
      const TensorPart& weight = weights.parts.at(std::string(prefix) + tensor.row->name);
      parts.emplace_back(tensor.name, tensor.is_zero
                                          ? TensorPart{weight.cut, at::zeros_like(weight.part)}
                                          : weight);
    }
    manifest[name] =
        write_parts(ops, folder / name, parts, {{"format", "pt"}}, mesh, weights.written);
  };
  write(trained_config(info), "", trained_file(info));
  const auto is_of_image = [](const auto& part) { return part.first.starts_with(kImagePrefix); };
  if (std::any_of(weights.parts.begin(), weights.parts.end(), is_of_image))
    write(info.config, kImagePrefix, "model.safetensors");
  PartList own;
  for (const auto& [name, part] : weights.parts)
    if (name.starts_with(kTaskPrefix)) own.emplace_back(name, part);
  if (!own.empty())
    manifest[kTaskFile] =
        write_parts(ops, folder / kTaskFile, own, {{"format", "pt"}}, mesh, weights.written);
  mesh.do_once(
      [&] { write_recorded_text(ops, folder, "config.json", model_info_text(info), manifest); });
}

}  // namespace vit22b
