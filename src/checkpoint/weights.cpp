#include "checkpoint/weights.h"

#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/model_folder.h"
#include "core/checksum.h"
#include "core/error.h"
#include "core/json.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr size_t kIndexLimit = 256 << 20;

// The file or index that holds a checkpoint's weights.
fs::path weights_place(const CheckpointPath& checkpoint) {
  if (!checkpoint.weights.empty()) return checkpoint.path();
  const fs::path file = checkpoint.folder / "model.safetensors",
                 index = checkpoint.folder / concat("model", kIndexEnding);
  const bool has_file = fs::exists(file), has_index = fs::exists(index);
  if (has_file && has_index)
    throw CheckpointError(checkpoint.folder.string(), " holds both ", file.filename().string(),
                          " and ", index.filename().string(),
                          "; name the one that is meant, such as ", file.string());
  if (!has_file && !has_index)
    throw CheckpointError(checkpoint.folder.string(),
                          " holds neither model.safetensors nor its index");
  return has_file ? file : index;
}

// The shard of each tensor.
std::map<std::string, std::string> read_index(const fs::path& index) {
  try {
    const std::string text = read_text(index, ExitCode::kCheckpoint, kIndexLimit);
    auto map = parse_json<nlohmann::json>(text, index.string(), ExitCode::kCheckpoint)
                   .at("weight_map")
                   .get<std::map<std::string, std::string>>();
    for (const auto& [tensor, shard] : map)
      if (shard.find('/') != std::string::npos || shard.empty())
        throw CheckpointError(index.string(), ": '", shard, "' is no plain file name");
    return map;
  } catch (const nlohmann::json::exception& e) {
    throw CheckpointError(index.string(), " is damaged (", e.what(), ")");
  }
}

at::Tensor load_row(const WeightFiles& files, const ParameterRow& row) {
  at::Tensor weight = files.load(row.name).to(at::kFloat);
  const std::string twin = twin_bias(row);
  if (!twin.empty() && files.contains(twin)) weight.add_(files.load(twin).to(at::kFloat));
  return weight;
}

[[noreturn]] void throw_missing(const WeightFiles& files, const ParameterRow& row) {
  throw CheckpointError(files.place(), ": tensor '", row.name, "' is missing",
                        did_you_mean(row.name, files.names()));
}

}  // namespace

at::ScalarType held_type(const ParameterRow& row, at::ScalarType matrix_type) {
  const bool is_product = row.unit.kind == UnitKind::kBlock || row.unit.kind == UnitKind::kPool;
  return is_product && row.group == ParameterGroup::kKernel ? matrix_type : at::kFloat;
}

WeightFiles::WeightFiles(const CheckpointPath& checkpoint) : place_(weights_place(checkpoint)) {
  is_sharded_ = place_.string().ends_with(kIndexEnding);
  if (is_sharded_) {
    open_shards(place_);
    return;
  }
  const auto& file = files_.emplace_back(std::make_unique<SafetensorsFile>(place_));
  for (const auto& [name, entry] : file->entries()) files_by_name_.emplace(name, file.get());
}

void WeightFiles::open_shards(const fs::path& index) {
  std::map<std::string, const SafetensorsFile*> shards;
  for (const auto& [tensor, shard] : read_index(index)) {
    const SafetensorsFile*& file = shards[shard];
    if (file == nullptr)
      file =
          files_.emplace_back(std::make_unique<SafetensorsFile>(index.parent_path() / shard)).get();
    if (!file->contains(tensor))
      throw CheckpointError(index.string(), ": tensor '", tensor, "' is not in ", shard,
                            ", where the index has it");
    files_by_name_.emplace(tensor, file);
  }
  for (const auto& [shard, file] : shards)
    for (const auto& [tensor, entry] : file->entries())
      if (const auto it = files_by_name_.find(tensor);
          it == files_by_name_.end() || it->second != file)
        throw CheckpointError(index.string(), ": ", shard, " holds the tensor '", tensor,
                              "', which the index has not there");
}

std::vector<fs::path> WeightFiles::paths() const {
  std::vector<fs::path> paths;
  paths.reserve(files_.size());
  for (const auto& file : files_) paths.push_back(file->path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<std::string> WeightFiles::names() const {
  std::vector<std::string> names;
  names.reserve(files_by_name_.size());
  for (const auto& [name, file] : files_by_name_) names.push_back(name);
  return names;
}

const SafetensorsFile& WeightFiles::file_of(const std::string& name) const {
  const auto it = files_by_name_.find(name);
  if (it == files_by_name_.end())
    throw CheckpointError(place_.string(), ": there is no tensor '", name, "'",
                          did_you_mean(name, names()));
  return *it->second;
}

std::string twin_bias(const ParameterRow& row) {
  if (row.local_name != "mlp_out_proj.bias") return "";
  std::string name = row.name;
  return name.replace(name.find("mlp_out_proj"), 12, "attn_out_proj");
}

void check_weight(const WeightFiles& files, const ParameterRow& row) {
  if (!files.contains(row.name)) throw_missing(files, row);
  const std::vector<int64_t>& shape = files.entry(row.name).shape;
  if (shape != row.shape)
    throw CheckpointError(files.place(), ": tensor '", row.name, "' has shape ", shape_text(shape),
                          ", the model has ", shape_text(row.shape),
                          "; config.json describes another model than these weights are of");
  if (!c10::isFloatingType(files.entry(row.name).dtype))
    throw CheckpointError(files.place(), ": tensor '", row.name, "' is of ",
                          c10::toString(files.entry(row.name).dtype),
                          ", want floating-point numbers: its values are no weights");
}

at::Tensor load_weight(const WeightFiles& files, const ParameterRow& row) {
  check_weight(files, row);
  return load_row(files, row);
}

void check_no_extra(const WeightFiles& files, const std::vector<ParameterRow>& table) {
  std::set<std::string> known;
  for (const ParameterRow& row : table) {
    known.insert(row.name);
    known.insert(twin_bias(row));
  }
  for (const std::string& name : files.names())
    if (known.count(name) == 0)
      throw CheckpointError(files.place(), ": tensor '", name,
                            "' belongs to no parameter of the model that config.json describes");
}

std::string weights_identity(const CheckpointPath& checkpoint) {
  constexpr size_t kBytesLookedAt = 4096;
  const WeightFiles files(checkpoint);
  Xxh3Stream hash;
  for (const std::string& name : files.names()) {
    const SafetensorsFile::Entry& entry = files.entry(name);
    const std::string line =
        concat(name, " ", c10::toString(entry.dtype), " ", shape_text(entry.shape), "\n");
    hash.add(std::as_bytes(std::span(line)));
    const std::span<const std::byte> bytes = files.file_of(name).bytes(entry);
    hash.add(bytes.first(std::min(bytes.size(), kBytesLookedAt)));
  }
  return hash.hash();
}

NamedTensors load_weights(const CheckpointPath& checkpoint,
                          const std::vector<ParameterRow>& table) {
  verify_manifest(checkpoint.folder, ManifestScope::kModel);
  const WeightFiles files(checkpoint);
  check_no_extra(files, table);
  NamedTensors weights;
  for (const ParameterRow& row : table) weights[row.name] = load_weight(files, row);
  return weights;
}

}  // namespace vit22b
