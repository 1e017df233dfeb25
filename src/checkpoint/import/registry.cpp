#include <nlohmann/json.hpp>

#include "checkpoint/adapters.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/importer.h"
#include "checkpoint/inner_tower.h"
#include "checkpoint/weights.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace vit22b {
namespace {

constexpr size_t kConfigLimit = 64 << 20;

using Reader = Imported (*)(const ImportFiles& files, const TensorContainer& weights);

template <Reader kRead>
ModelInfo describe_by(const ImportFiles& files) {
  return kRead(files, open_weights(files.checkpoint)).info;
}

template <Reader kRead>
TensorMap map_by(const ImportFiles& files, const std::vector<ParameterRow>& table,
                 const TensorContainer& weights) {
  return kRead(files, weights).tensors.map(table);
}

template <Reader kRead>
constexpr Importer family(const char* name, bool (*recognises)(const ImportFiles&)) {
  return {name, recognises, describe_by<kRead>, map_by<kRead>};
}

template <Reader kRead, Reader kReadText>
constexpr Importer two_towers(const char* name, bool (*recognises)(const ImportFiles&)) {
  return {name,
          recognises,
          describe_by<kRead>,
          map_by<kRead>,
          describe_by<kReadText>,
          map_by<kReadText>};
}

void check_has_text(const Importer& importer, const ImportFiles& files) {
  if (importer.describe_text == nullptr)
    throw CheckpointError(files.config_place, " has no text tower that is read beside its images (",
                          importer.name, ")");
}

// The one list of importers; the first that recognises a checkpoint reads it.
constexpr Importer kImporters[] = {
    {"vit22b", is_own, describe_own, map_own},
    {"timm", is_timm, describe_timm, map_timm},
    family<read_hf_vit>("hf_vit", is_hf_vit),
    family<read_hf_dinov3>("hf_dinov3", is_hf_dinov3),
    two_towers<read_hf_clip, read_hf_clip_text>("hf_clip", is_hf_clip),
    two_towers<read_hf_aimv2, read_hf_aimv2_text>("hf_aimv2", is_hf_aimv2),
    family<read_hf_internvl>("hf_internvl", is_hf_internvl),
    family<read_hf_radio>("hf_radio", is_hf_radio),
    family<read_hf_tips>("hf_tips", is_hf_tips),
    family<read_hf_sapiens2>("hf_sapiens2", is_hf_sapiens2),
    family<read_intern_vit>("intern_vit", is_intern_vit),
    two_towers<read_open_clip, read_open_clip_text>("open_clip", is_open_clip),
    two_towers<read_big_vision, read_big_vision_text>("big_vision", is_big_vision),
    family<read_aimv2_state>("aimv2", is_aimv2_state),
    family<read_dinov3>("dinov3", is_dinov3),
    family<read_dinov2>("dinov2", is_dinov2),
    two_towers<read_clip_state, read_clip_state_text>("clip", is_clip_state),
    two_towers<read_eva_clip, read_eva_clip_text>("eva_clip", is_eva_clip),
    family<read_plain_state>("vit", is_plain_state),
};

}  // namespace

const Importer& importer_of(const ImportFiles& files) {
  const std::string& wanted = files.checkpoint.importer;
  std::vector<std::string> names;
  for (const Importer& importer : kImporters) {
    names.emplace_back(importer.name);
    if (wanted.empty() ? importer.recognises(files) : wanted == importer.name) return importer;
  }
  if (!wanted.empty())
    throw CheckpointError(files.config_place, ": there is no importer '", wanted, "'",
                          did_you_mean(wanted, names), "; there are ", join(names, ", "));
  if (std::filesystem::exists(files.checkpoint.folder / kAdapterConfig))
    throw CheckpointError(files.checkpoint.folder.string(),
                          " holds PEFT's adapters without a model; add them to their weights there "
                          "(merge_and_unload), and give that");
  throw CheckpointError(files.config_place, " is of no family that is known: ", join(names, ", "),
                        "; of a config.json they look at architecture and model_type, without one "
                        "at the tensors' names");
}

ModelInfo describe(const Importer& importer, const ImportFiles& files) {
  if (files.checkpoint.tower.empty()) return importer.describe(files);
  check_has_text(importer, files);
  return importer.describe_text(files);
}

void with_import_files(const CheckpointPath& checkpoint,
                       const std::function<void(const ImportFiles&)>& use) {
  std::string place;
  auto json = nlohmann::ordered_json::object();
  try {
    for (const char* name : {"config.json", "open_clip_config.json"})
      if (const std::filesystem::path path = checkpoint.folder / name;
          place.empty() && std::filesystem::exists(path)) {
        place = path.string();
        json = parse_json<nlohmann::ordered_json>(
            read_text(place, ExitCode::kCheckpoint, kConfigLimit), place, ExitCode::kCheckpoint);
      }
    nlohmann::ordered_json whole;
    if (json.is_object())
      if (auto tower = inner_tower(json, place, checkpoint.image_tower)) {
        whole = std::move(json);
        json = nlohmann::ordered_json::parse(tower->config);
      }
    if (!place.empty())
      return use({checkpoint, json, place, {}, {}, whole.is_null() ? nullptr : &whole});
    const TensorContainer weights = open_weights(checkpoint);
    const std::vector<std::string> names = weights.names();
    place = weights.place().string();
    use({checkpoint, json, place, {names.begin(), names.end()}, weights.part()});
  } catch (const nlohmann::json::exception& e) {
    throw CheckpointError(place, " is damaged (", e.what(), ")");
  } catch (const UsageError& e) {
    throw CheckpointError(place, ": ", e.what());
  }
}

TensorMap tensor_map(const CheckpointPath& checkpoint, const std::vector<ParameterRow>& table,
                     const TensorContainer& files) {
  TensorMap map;
  with_import_files(checkpoint, [&](const ImportFiles& import) {
    const Importer& importer = importer_of(import);
    if (!checkpoint.tower.empty()) check_has_text(importer, import);
    map = (checkpoint.tower.empty() ? importer.map : importer.map_text)(import, table, files);
  });
  return map;
}

}  // namespace vit22b
