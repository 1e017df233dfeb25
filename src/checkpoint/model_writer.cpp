#include "checkpoint/model_writer.h"

#include <nlohmann/json.hpp>

#include "checkpoint/container/containers.h"
#include "checkpoint/container/safetensors_writer.h"
#include "checkpoint/import/own.h"
#include "checkpoint/import/timm_map.h"
#include "checkpoint/two_towers.h"
#include "core/error.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

int64_t bytes_of(const TimmTensor& tensor, const WeightLayout& layout) {
  return tensor.row->count() *
         static_cast<int64_t>(c10::elementSize(held_type(*tensor.row, layout.dtype)));
}

// Files of at most that many bytes of tensors, each with at least one.
std::vector<std::vector<TimmTensor>> shards_of(const std::vector<TimmTensor>& tensors,
                                               const WeightLayout& layout) {
  std::vector<std::vector<TimmTensor>> shards(1);
  int64_t bytes = 0;
  for (const TimmTensor& tensor : tensors) {
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

FileRecord write_shard(FileOps& ops, const fs::path& path, const std::vector<TimmTensor>& tensors,
                       const WholeTensor& whole, at::ScalarType dtype) {
  std::vector<TensorEntry> entries;
  entries.reserve(tensors.size());
  for (const TimmTensor& tensor : tensors)
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
  const auto shards = shards_of(timm_tensors(table), layout);
  Json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", Json::object()}};
  int64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i, shards.size());
    manifest[name] = write_shard(ops, folder / name, shards[i], whole, layout.dtype);
    for (const TimmTensor& tensor : shards[i]) {
      index["weight_map"][tensor.name] = name;
      total += bytes_of(tensor, layout);
    }
  }
  index["metadata"]["total_size"] = total;
  if (shards.size() > 1)
    write_recorded_text(ops, folder, concat("model", kIndexEnding), index.dump(1) + "\n", manifest);
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
    for (const TimmTensor& tensor : timm_tensors(table)) {
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
