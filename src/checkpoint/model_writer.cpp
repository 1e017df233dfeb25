#include "checkpoint/model_writer.h"

#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/adapters.h"
#include "checkpoint/container/containers.h"
#include "checkpoint/container/npz_writer.h"
#include "checkpoint/container/safetensors_writer.h"
#include "checkpoint/export/exporter.h"
#include "checkpoint/import/own.h"
#include "checkpoint/import/timm_map.h"
#include "checkpoint/two_towers.h"
#include "core/error.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

at::ScalarType dtype_of(const WrittenTensor& tensor, const WeightLayout& layout) {
  return tensor.slices.empty() ? at::kFloat : held_type(*tensor.slices[0].row, layout.dtype);
}

int64_t bytes_of(const WrittenTensor& tensor, const WeightLayout& layout) {
  return c10::multiply_integers(tensor.shape) *
         static_cast<int64_t>(c10::elementSize(dtype_of(tensor, layout)));
}

// Files of at most that many bytes of tensors, each with at least one.
std::vector<std::vector<WrittenTensor>> shards_of(const std::vector<WrittenTensor>& tensors,
                                                  const WeightLayout& layout) {
  std::vector<std::vector<WrittenTensor>> shards(1);
  int64_t bytes = 0;
  for (const WrittenTensor& tensor : tensors) {
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

/// Gives parameters, of which it keeps the last: its parts are written one after the other.
class LastParameter {
 public:
  explicit LastParameter(const WholeTensor& whole) : whole_(whole) {}

  at::Tensor value(const WrittenTensor& tensor, at::ScalarType dtype) {
    if (tensor.slices.empty()) return at::zeros(tensor.shape, dtype);
    std::vector<at::Tensor> parts;
    for (const RowSlice& slice : tensor.slices) {
      if (slice.row != row_) value_ = whole_(*slice.row);
      row_ = slice.row;
      parts.push_back(slice.count < 0 ? value_ : value_.narrow(0, slice.first, slice.count));
    }
    const at::Tensor joined = parts.size() == 1 ? parts[0] : at::cat(parts);
    return (tensor.change ? tensor.change(joined) : joined).to(dtype).reshape(tensor.shape);
  }

 private:
  const WholeTensor& whole_;
  const ParameterRow* row_ = nullptr;
  at::Tensor value_;
};

std::vector<TensorEntry> entries_of(const std::vector<WrittenTensor>& tensors,
                                    const WeightLayout& layout) {
  std::vector<TensorEntry> entries;
  entries.reserve(tensors.size());
  for (const WrittenTensor& tensor : tensors)
    entries.push_back({tensor.name, dtype_of(tensor, layout), tensor.shape});
  return entries;
}

FileRecord write_shard(FileOps& ops, const fs::path& path,
                       const std::vector<WrittenTensor>& tensors, LastParameter& parameter,
                       const WeightLayout& layout) {
  const std::vector<TensorEntry> entries = entries_of(tensors, layout);
  const auto values = [&](size_t i) { return parameter.value(tensors[i], entries[i].dtype); };
  return write_safetensors(ops, path, entries, values, {{"format", "pt"}});
}

}  // namespace

void write_model(FileOps& ops, const fs::path& folder, const WrittenModel& model,
                 const WholeTensor& whole, const WeightLayout& layout, Manifest& manifest) {
  const auto shards = shards_of(model.tensors, layout);
  Json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", Json::object()}};
  int64_t total = 0;
  LastParameter parameter(whole);
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i, shards.size());
    manifest[name] = write_shard(ops, folder / name, shards[i], parameter, layout);
    for (const WrittenTensor& tensor : shards[i]) {
      index["weight_map"][tensor.name] = name;
      total += bytes_of(tensor, layout);
    }
  }
  index["metadata"]["total_size"] = total;
  if (shards.size() > 1)
    write_recorded_text(ops, folder, concat("model", kIndexEnding), index.dump(1) + "\n", manifest);
  for (const auto& [name, text] : model.texts)
    write_recorded_text(ops, folder, name, text, manifest);
}

void write_arrays(FileOps& ops, const fs::path& file, const WrittenModel& model,
                  const WholeTensor& whole, const WeightLayout& layout) {
  const std::vector<TensorEntry> entries = entries_of(model.tensors, layout);
  LastParameter parameter(whole);
  write_npz(ops, file, entries,
            [&](size_t i) { return parameter.value(model.tensors[i], entries[i].dtype); });
}

void write_model(FileOps& ops, const fs::path& folder, const ModelInfo& info,
                 const WholeTensor& whole, const WeightLayout& layout, Manifest& manifest) {
  const std::vector<ParameterRow> table = parameter_table(info.config);
  write_model(ops, folder,
              WrittenModel{under_timms_names(table), {{"config.json", model_info_text(info)}}},
              whole, layout, manifest);
}

void write_model(FileOps& ops, const fs::path& folder, const ModelInfo& info,
                 const NamedTensors& weights, Manifest& manifest) {
  const NamedParts parts = whole_parts(weights);
  write_model(ops, folder, info, PartsToWrite{parts}, single_process(), manifest);
}

namespace {

void write_beside_base(FileOps& ops, const fs::path& folder, const ModelInfo& info,
                       const PartsToWrite& weights, const Mesh& mesh, Manifest& manifest) {
  PartList parts;
  std::set<std::string> names;
  for (const auto& [name, part] : weights.parts) {
    if (name.starts_with(kTaskPrefix)) continue;
    names.insert(name);
    parts.emplace_back(concat(kAdapterPrefix, name), part);
  }
  manifest[kAdapterFile] =
      write_parts(ops, folder / kAdapterFile, parts, {{"format", "pt"}}, mesh, weights.written);
  if (!weights.is_for_peft) return;
  mesh.do_once([&] {
    write_recorded_text(ops, folder, kAdapterConfig, adapter_config_text(info, names), manifest);
  });
}

}  // namespace

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
  if (info.base)
    write_beside_base(ops, folder, info, weights, mesh, manifest);
  else
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
