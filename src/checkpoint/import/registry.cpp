#include <nlohmann/json.hpp>

#include "checkpoint/import/importer.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace vit22b {
namespace {

constexpr size_t kConfigLimit = 64 << 20;

// The one list of importers; the first that recognises a checkpoint reads it.
constexpr Importer kImporters[] = {
    {"vit22b", is_own, describe_own, map_timm},
    {"timm", is_timm, describe_timm, map_timm},
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
  throw CheckpointError(files.config_place,
                        " names no architecture; want a folder as vit22b or timm write it");
}

void with_import_files(const CheckpointPath& checkpoint,
                       const std::function<void(const ImportFiles&)>& use) {
  const std::string place = (checkpoint.folder / "config.json").string();
  const std::string text = read_text(place, ExitCode::kCheckpoint, kConfigLimit);
  try {
    const auto json = parse_json<nlohmann::ordered_json>(text, place, ExitCode::kCheckpoint);
    use({checkpoint, json, place});
  } catch (const nlohmann::json::exception& e) {
    throw CheckpointError(place, " is damaged (", e.what(), ")");
  } catch (const UsageError& e) {
    throw CheckpointError(place, ": ", e.what());
  }
}

TensorMap tensor_map(const CheckpointPath& checkpoint, const std::vector<ParameterRow>& table,
                     const TensorContainer& files) {
  TensorMap map;
  with_import_files(
      checkpoint, [&](const ImportFiles& import) { map = importer_of(import).map(table, files); });
  return map;
}

}  // namespace vit22b
