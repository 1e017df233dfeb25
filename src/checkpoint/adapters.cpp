#include "checkpoint/adapters.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/container/containers.h"
#include "checkpoint/import/importer.h"
#include "checkpoint/manifest.h"
#include "checkpoint/weights.h"
#include "core/error.h"
#include "core/text.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr int kMostBases = 4;  // each is opened twice for the one that stands beside it
constexpr std::string_view kA = ".lora_A.weight", kB = ".lora_B.weight";

std::string in_file(const std::string& name) {
  return concat(kAdapterPrefix, name);
}

// Files may name each other in a ring.
void check_depth(CheckpointPath at) {
  for (int depth = 1; const auto next = find_base(at); ++depth) {
    if (depth == kMostBases)
      throw CheckpointError("more than ", kMostBases,
                            " stand beside each other; write them as one ",
                            "checkpoint by `vit22b convert`");
    at = resolve_checkpoint(next->place);
  }
}

CheckpointPath resolve_base(const CheckpointPath& checkpoint, const BaseWeights& base) {
  try {
    CheckpointPath place = resolve_checkpoint(base.place);
    check_depth(place);
    return place;
  } catch (const CheckpointError& e) {
    throw CheckpointError(checkpoint.folder.string(), " stands beside the weights of ", base.place,
                          ", which cannot be read (", e.what(), "); where they are now is said by ",
                          checkpoint.folder.string(), "?base=CKPT");
  }
}

/// The layer that a weight is of: its name without ".weight".
std::string layer_of(const std::string& name) {
  return name.substr(0, name.rfind('.'));
}

/// A piece that adds an adapter's product to its weight; the two factors are read now.
TensorPiece product_of(const TensorContainer& weights, const std::string& layer,
                       const ParameterRow& row, double scale) {
  const at::Tensor a = weights.load(in_file(concat(layer, kA))).to(at::kFloat),
                   b = weights.load(in_file(concat(layer, kB))).to(at::kFloat);
  if (a.dim() != 2 || b.dim() != 2 || a.size(0) != b.size(1) ||
      (std::vector<int64_t>{b.size(0), a.size(1)}) != row.shape)
    throw CheckpointError(weights.place().string(), ": the adapter of ", layer,
                          " has other sizes than its weight");
  return {.source = "", .shape = row.shape, .make = [a, b, scale] { return b.matmul(a) * scale; }};
}

/// How each parameter of a base comes from its files, where these have kBasePrefix. Adapters that
/// the base has itself are added.
std::map<std::string, TensorRecipe> base_recipes(const CheckpointPath& base) {
  ViTConfig config = read_model_info(base).config;
  config.adapters = {};
  TensorMap map = tensor_map(base, parameter_table(config), open_weights(base));
  for (auto& [name, recipe] : map.parameters)
    for (auto* pieces : {&recipe.pieces, &recipe.added})
      for (TensorPiece& piece : *pieces)
        if (!piece.source.empty()) piece.source.insert(0, kBasePrefix);
  return std::move(map.parameters);
}

}  // namespace

BaseWeights base_weights(const std::string& place) {
  CheckpointPath checkpoint = resolve_checkpoint(place);
  check_depth(checkpoint);
  std::vector<std::string> given = split(checkpoint.given, '&');
  for (std::string& part : given)
    if (part.starts_with(kGivenBase))
      part = concat(kGivenBase,
                    fs::absolute(part.substr(kGivenBase.size())).lexically_normal().string());
  checkpoint.given = join(given, "&");
  return {fs::absolute(checkpoint.path()).lexically_normal().string(),
          weights_identity(checkpoint)};
}

std::optional<BaseWeights> find_base(const CheckpointPath& checkpoint) {
  if (!fs::exists(checkpoint.folder / "config.json")) return std::nullopt;
  std::optional<BaseWeights> base;
  with_import_files(checkpoint, [&](const ImportFiles& files) {
    if (is_own(files)) base = describe_own(files).base;
  });
  if (!base) return base;
  for (const std::string& part : split(checkpoint.given, '&'))
    if (part.starts_with(kGivenBase)) base->place = part.substr(kGivenBase.size());
  return base;
}

TensorContainer open_beside_base(const CheckpointPath& checkpoint, const BaseWeights& base) {
  const CheckpointPath place = resolve_base(checkpoint, base);
  if (weights_identity(place) != base.identity)
    throw CheckpointError(checkpoint.folder.string(), " stands beside the weights of ", base.place,
                          ", which are others now than those that it was trained on; where these "
                          "are is said by ",
                          checkpoint.folder.string(), "?base=CKPT");
  TensorContainer own = open_container(checkpoint.folder / kAdapterFile);
  verify_manifest(place.folder, ManifestScope::kModelButTensors);
  TensorContainer all = open_weights(place);
  expect_recorded_hashes(all);
  const std::vector<std::string> names = all.names();
  own.take(std::move(all), names, std::string(kBasePrefix));
  return own;
}

TensorMap map_beside_base(const CheckpointPath& checkpoint, const BaseWeights& base,
                          const AdapterConfig& adapters, const std::vector<ParameterRow>& table,
                          const TensorContainer& weights) {
  TensorMap map;
  std::map<std::string, TensorRecipe> of_base = base_recipes(resolve_base(checkpoint, base));
  const bool has_adapters = std::any_of(table.begin(), table.end(), [](const ParameterRow& row) {
    return row.group == ParameterGroup::kAdapter;
  });
  for (const ParameterRow& row : table) {
    if (const std::string name = in_file(row.name); weights.contains(name)) {
      map.parameters[row.name].pieces = {whole_tensor(row)};
      map.parameters[row.name].pieces.front().source = name;
    } else if (const auto known = of_base.find(row.name); known != of_base.end()) {
      map.parameters[row.name] = std::move(known->second);
    }
    const std::string layer = layer_of(row.name);
    if (has_adapters || !row.name.ends_with(".weight") ||
        !weights.contains(in_file(concat(layer, kA))))
      continue;
    map.parameters[row.name].added.push_back(product_of(weights, layer, row, adapters.scale()));
    for (const std::string_view end : {kA, kB}) map.left.insert(in_file(concat(layer, end)));
  }
  // Of the base everything may be unused, such as a head of other classes.
  for (const std::string& name : weights.names())
    if (name.starts_with(kBasePrefix)) map.left.insert(name);
  return map;
}

namespace {

/// Layers with adapters, and modules that have other tensors, of some names.
struct PeftModules {
  std::set<std::string> adapted, saved;
};

PeftModules modules_of(const std::set<std::string>& names) {
  PeftModules modules;
  for (const std::string& name : names) {
    if (name.ends_with(kA))
      modules.adapted.insert(name.substr(0, name.size() - kA.size()));
    else if (!name.ends_with(kB) && name.find('.') != std::string::npos)
      modules.saved.insert(layer_of(name));
  }
  return modules;
}

}  // namespace

std::string peft_obstacle(const ViTConfig& config, const BaseWeights& base,
                          const std::set<std::string>& names) {
  if (!config.adapters.exist()) return "";
  const PeftModules modules = modules_of(names);
  for (const std::string& layer : modules.adapted)
    if (modules.saved.count(layer) != 0) return concat(layer, " has an adapter and trains itself");
  ViTConfig of_base = read_model_info(resolve_checkpoint(base.place)).config;
  of_base.num_classes = config.num_classes;
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const ParameterRow& row : parameter_table(of_base)) shapes[row.name] = row.shape;
  for (const ParameterRow& row : parameter_table(config)) {
    const bool is_own = names.count(row.name) != 0;
    if (row.group == ParameterGroup::kAdapter) continue;
    if (is_own && shapes[row.name] != row.shape)
      return concat(row.name, " has another shape than the base's");
    if (!is_own && modules.saved.count(layer_of(row.name)) != 0)
      return concat("only a part of ", layer_of(row.name), " trains");
  }
  return "";
}

std::string adapter_config_text(const ModelInfo& info, const std::set<std::string>& names) {
  const auto [targets, others] = modules_of(names);
  const AdapterConfig& adapters = info.config.adapters;
  return Json{{"peft_type", "LORA"},
              {"task_type", nullptr},
              {"base_model_name_or_path", info.base->place},
              {"r", adapters.rank},
              {"lora_alpha", adapters.alpha},
              {"lora_dropout", 0.0},
              {"bias", "none"},
              {"fan_in_fan_out", false},
              {"target_modules", targets},
              {"modules_to_save", others},
              {"inference_mode", true}}
             .dump(1) +
         "\n";
}

}  // namespace vit22b
