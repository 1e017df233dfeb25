#include "checkpoint/weights.h"

#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/model_folder.h"
#include "core/error.h"
#include "kernels/shape.h"
#include "model/embedding.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr size_t kIndexLimit = 256 << 20;

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

WeightFiles::WeightFiles(const fs::path& folder, const std::string& stem) {
  place_ = folder / (stem + ".safetensors");
  const fs::path index = folder / (stem + ".safetensors.index.json");
  std::vector<fs::path> paths;
  if (fs::exists(place_)) {
    paths.push_back(place_);
  } else if (fs::exists(index)) {
    place_ = index;
    try {
      const auto json = nlohmann::json::parse(read_text(index, ExitCode::kCheckpoint, kIndexLimit));
      std::set<std::string> shards;
      for (const auto& [tensor, file] : json.at("weight_map").items())
        shards.insert(file.get<std::string>());
      for (const std::string& shard : shards) {
        if (shard.find('/') != std::string::npos)
          throw CheckpointError(index.string(), ": '", shard, "' is no plain file name");
        paths.push_back(folder / shard);
      }
    } catch (const nlohmann::json::exception& e) {
      throw CheckpointError(index.string(), " is damaged (", e.what(), ")");
    }
  } else {
    throw CheckpointError(folder.string(), " holds neither ", stem, ".safetensors nor its index");
  }
  for (const fs::path& path : paths) {
    const auto& file = files_.emplace_back(std::make_unique<SafetensorsFile>(path));
    for (const auto& [name, entry] : file->entries())
      if (!files_by_name_.emplace(name, file.get()).second)
        throw CheckpointError(place_.string(), ": tensor '", name, "' stands in two shards");
  }
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
                          "; start from it with --init-from and init_skip=", row.name,
                          ", or change the model");
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

NamedTensors load_weights(const fs::path& folder, const std::vector<ParameterRow>& table) {
  verify_manifest(folder);
  const WeightFiles files(folder);
  check_no_extra(files, table);
  NamedTensors weights;
  for (const ParameterRow& row : table) weights[row.name] = load_weight(files, row);
  return weights;
}

InitReport init_weights(const fs::path& folder, const ViTConfig& config,
                        const std::vector<std::string>& skip, NamedTensors& weights) {
  verify_manifest(folder);
  const WeightFiles files(folder);
  const ModelInfo source = read_model_info(folder);
  InitReport report;
  const bool is_head_replaced =
      config.has_head() && source.config.num_classes != config.num_classes;
  if (is_head_replaced)
    report.notes.push_back(concat("head: fresh for ", config.num_classes,
                                  " classes, the checkpoint has ", source.config.num_classes));
  for (const ParameterRow& row : parameter_table(config)) {
    const bool is_skipped = std::any_of(skip.begin(), skip.end(), [&](const std::string& p) {
      return matches_pattern(row.name, p);
    });
    if (is_skipped || (is_head_replaced && row.unit.kind == UnitKind::kHead)) continue;
    if (!files.contains(row.name)) throw_missing(files, row);
    if (row.group == ParameterGroup::kPosition && files.entry(row.name).shape != row.shape &&
        files.entry(row.name).shape.size() == 3 &&
        files.entry(row.name).shape[1] == source.config.position_rows()) {
      ViTConfig own = source.config;
      own.posemb_resize = config.posemb_resize;
      weights[row.name] =
          positions_for_grid(own, load_row(files, row), config.grid_height(), config.grid_width());
      report.notes.push_back(concat("position table: moved from ", own.grid_height(), "x",
                                    own.grid_width(), " to ", config.grid_height(), "x",
                                    config.grid_width()));
      continue;
    }
    weights[row.name] = load_weight(files, row);
  }
  return report;
}

}  // namespace vit22b
