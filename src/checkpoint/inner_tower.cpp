#include "checkpoint/inner_tower.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kInnerConfigLimit = 64 << 20;

/// Models whose config has the tower's own under "vision_config", by model_type; and what its
/// tensors' names begin with.
struct Holder {
  std::string_view model_type;
  std::vector<std::string> prefixes;
};

const std::vector<Holder>& holders() {
  static const std::vector<Holder> kHolders = {
      {"llava", {"vision_tower.", "model.vision_tower."}},
      {"vipllava", {"vision_tower.", "model.vision_tower."}},
      {"paligemma", {"vision_tower.", "model.vision_tower."}},
      {"gemma3", {"vision_tower.", "model.vision_tower."}},
      {"internvl", {"vision_tower.", "model.vision_tower."}},
      {"internvl_chat", {"vision_model."}},
  };
  return kHolders;
}

/// Models whose tower no field of ours expresses, and why.
struct Refused {
  std::string_view model_type, reason;
};
constexpr Refused kRefusedModels[] = {
    {"qwen2_vl", "its patches are of two frames, and rotate by places inside of groups of four"},
    {"qwen2_5_vl", "most of its blocks attend inside of windows"},
    {"qwen3_vl", "its positions are interpolated as no table of ours is"},
    {"qwen3_vl_moe", "its positions are interpolated as no table of ours is"},
    {"llava_next", "it shows its tower tiles of a picture, not the picture"},
    {"llava_onevision", "it shows its tower tiles of a picture, not the picture"},
    {"mllama", "its tower has gated blocks and positions of tiles"},
};

std::string type_of(const Json& config) {
  const Json type = config.value("model_type", Json());
  return type.is_string() ? type.get<std::string>() : "";
}

/// timm's config of one of OpenVLA's towers: the model's name stands in its config, the pixels as
/// its processor has them.
InnerTower openvla_tower(const std::string& timm_id, const Json& size, bool is_second) {
  const std::string architecture = timm_id.substr(0, timm_id.find('.'));
  const bool is_siglip = architecture.find("siglip") != std::string::npos;
  const Json half = {0.5, 0.5, 0.5};
  InnerTower tower{
      is_siglip ? "siglip" : "dino",
      {is_second ? "vision_backbone.fused_featurizer." : "vision_backbone.featurizer."},
      {}};
  const Json alone = {
      {"architecture", architecture},
      {"num_classes", 0},
      {"model_args", {{"img_size", size}}},
      {"pretrained_cfg",
       {{"tag",
         timm_id.find('.') == std::string::npos ? "" : timm_id.substr(timm_id.find('.') + 1)},
        {"input_size", {3, size, size}},
        {"fixed_input_size", true},
        {"interpolation", "bicubic"},
        {"crop_pct", 1.0},
        {"crop_mode", "squash"},
        {"mean", is_siglip ? half : Json{0.485, 0.456, 0.406}},
        {"std", is_siglip ? half : Json{0.229, 0.224, 0.225}}}}};
  tower.config = alone.dump();
  // transformers takes "gamma" in a name for an old name of a norm's weight.
  tower.renamed = {{"ls1.scale_factor", "ls1.gamma"}, {"ls2.scale_factor", "ls2.gamma"}};
  return tower;
}

/// The backbone that a model of depth is made of: a tower of its own, or with DPT's own ViT, whose
/// keys stand among the model's.
InnerTower depth_tower(const Json& config, const std::string& place) {
  const Json backbone = config.value("backbone_config", Json());
  const Json is_hybrid = config.value("is_hybrid", Json());
  if (is_hybrid.is_boolean() && is_hybrid.get<bool>())
    throw CheckpointError(place, ": the tower of a hybrid DPT is not read: half of it is a ResNet");
  if (backbone.is_object()) return {"backbone", {"backbone."}, backbone.dump(), {}, true};
  if (type_of(config) != "dpt")
    throw CheckpointError(place, ": a ", type_of(config),
                          " without backbone_config has no tower to read");
  return {"backbone", {"dpt."}, config.dump(), {}, true};
}

std::vector<InnerTower> openvla_towers(const Json& config, const std::string& place) {
  const Json ids = config.value("timm_model_ids", Json()),
             sizes = config.value("image_sizes", Json());
  const auto is_text = [](const Json& id) { return id.is_string(); };
  const bool is_known = ids.is_array() && sizes.is_array() && !ids.empty() && ids.size() <= 2 &&
                        ids.size() == sizes.size() && std::all_of(ids.begin(), ids.end(), is_text);
  if (!is_known)
    throw CheckpointError(place, ": timm_model_ids and image_sizes do not say which towers it has");
  std::vector<InnerTower> towers;
  for (size_t i = 0; i < ids.size(); ++i)
    towers.push_back(openvla_tower(ids[i].get<std::string>(), sizes[i], i > 0));
  if (towers.size() == 2 && towers[0].name == towers[1].name)
    for (size_t i = 0; i < 2; ++i) towers[i].name += std::to_string(i);
  return towers;
}

// A part's ending anywhere in a name: "blocks.3.ls1.scale_factor".
std::string renamed_part(const InnerTower& tower, std::string name) {
  for (const auto& [theirs, ours] : tower.renamed)
    if (name.ends_with(theirs)) name.replace(name.size() - theirs.size(), theirs.size(), ours);
  return name;
}

}  // namespace

std::vector<InnerTower> inner_towers(const Json& config, const std::string& place) {
  const std::string type = type_of(config);
  for (const auto& [model_type, reason] : kRefusedModels)
    if (type == model_type)
      throw CheckpointError(place, ": the image tower of ", type, " is not read: ", reason);
  if (type == "dpt" || type == "depth_anything") return {depth_tower(config, place)};
  if (type == "openvla") return openvla_towers(config, place);
  for (const auto& [model_type, prefixes] : holders())
    if (type == model_type) {
      const Json own = config.value("vision_config", Json());
      if (!own.is_object())
        throw CheckpointError(place, ": a ", type, " without vision_config has no tower to read");
      return {{"vision", prefixes, own.dump()}};
    }
  return {};
}

std::optional<InnerTower> inner_tower(const Json& config, const std::string& place,
                                      const std::string& wanted) {
  std::vector<InnerTower> towers = inner_towers(config, place);
  std::vector<std::string> names;
  names.reserve(towers.size());
  for (const InnerTower& tower : towers) names.push_back(tower.name);
  if (towers.empty() && !wanted.empty())
    throw CheckpointError(place, " has one image tower, and none of the name '", wanted, "'");
  if (towers.empty()) return std::nullopt;
  for (InnerTower& tower : towers)
    if (tower.name == wanted || (wanted.empty() && towers.size() == 1)) return std::move(tower);
  throw CheckpointError(place, " has the image towers ", join(names, " and "),
                        wanted.empty() ? "; say which is meant with --tower NAME"
                                       : concat(", none of the name '", wanted, "'"));
}

std::optional<InnerTower> inner_tower(const CheckpointPath& checkpoint) {
  const std::filesystem::path path = checkpoint.folder / "config.json";
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  const std::string text = read_text(path, ExitCode::kCheckpoint, kInnerConfigLimit);
  check_json_nesting(text, path.string(), ExitCode::kCheckpoint);
  const Json config = parse_json_line<Json>(text);
  if (!config.is_object()) return std::nullopt;  // whoever describes the model says what it is
  return inner_tower(config, path.string(), checkpoint.image_tower);
}

std::optional<InnerTower> inner_tower(const std::vector<std::string>& names) {
  for (const char* prefix : {"pretrained.model.", "pretrained."}) {
    const std::string block = concat(prefix, "blocks.0.");
    if (std::any_of(names.begin(), names.end(),
                    [&](const std::string& name) { return name.starts_with(block); }))
      return InnerTower{"backbone", {prefix}, "", {}, true};
  }
  return std::nullopt;
}

std::string tower_prefix(const InnerTower& tower, const std::vector<std::string>& names,
                         const std::string& place) {
  for (const std::string& prefix : tower.prefixes)
    if (std::any_of(names.begin(), names.end(),
                    [&](const std::string& name) { return name.starts_with(prefix); }))
      return prefix;
  throw CheckpointError(place, " holds no image tower: no tensor's name begins with ",
                        join(tower.prefixes, " or "));
}

TensorContainer tensors_of(const InnerTower& tower, TensorContainer all) {
  const std::string prefix = tower_prefix(tower, all.names(), all.place().string());
  all.rename([&](const std::string& name) {
    return name.starts_with(prefix) ? renamed_part(tower, name.substr(prefix.size())) : "";
  });
  return all;
}

}  // namespace vit22b
