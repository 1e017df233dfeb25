#include "checkpoint/checkpoint_path.h"

#include <algorithm>

#include "checkpoint/container/containers.h"
#include "checkpoint/hub_checkpoint.h"
#include "core/error.h"
#include "core/hub/hub_name.h"
#include "core/hub/hub_settings.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTowerWord = "tower=";
constexpr const char* kConfigs[] = {"config.json", "open_clip_config.json"};

bool has_config(const fs::path& folder) {
  return std::any_of(std::begin(kConfigs), std::end(kConfigs),
                     [&](const char* name) { return fs::exists(folder / name); });
}

// The one file of weights in a folder that says nothing else; "" for none or several.
std::string only_weights(const fs::path& folder) {
  std::string found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!has_container_ending(name) || !entry.is_regular_file()) continue;
    if (!found.empty()) return "";
    found = name;
  }
  return found;
}

CheckpointPath resolve_file(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!has_container_ending(name))
    throw CheckpointError(path.string(),
                          " is no checkpoint: want a folder with config.json and "
                          "model.safetensors, a file of weights, or a run folder");
  return {path.parent_path().empty() ? fs::path(".") : path.parent_path(), name};
}

CheckpointPath resolve(const fs::path& path, const std::string& tower = "") {
  if (is_hub_name(path.string())) return hub_checkpoint(path.string(), hub_settings(), tower);
  if (is_remote_checkpoint(path.string())) return url_checkpoint(path.string(), hub_settings());
  std::error_code error;
  if (!fs::exists(path, error))
    throw CheckpointError("checkpoint ", path.string(), " does not exist");
  if (!fs::is_directory(path, error)) return resolve_file(path);
  if (has_config(path)) return {path};
  if (fs::exists(path / "ckpt" / "latest" / "config.json"))
    return {fs::canonical(path / "ckpt" / "latest")};
  if (const std::string name = only_weights(path); !name.empty()) return {path, name};
  throw CheckpointError(path.string(),
                        " is no checkpoint: it holds neither config.json nor ckpt/latest, nor one "
                        "file of weights");
}

}  // namespace

fs::path CheckpointPath::path() const {
  const fs::path place = weights.empty() ? folder : folder / weights;
  std::string words = given;
  if (!image_tower.empty())
    words = concat(kTowerWord, image_tower, given.empty() ? "" : "&", given);
  return words.empty() ? place : fs::path(place.string() + "?" + words);
}

bool is_remote_checkpoint(const std::string& place) {
  return is_hub_name(place) || place.starts_with("https://") || place.starts_with("http://");
}

bool may_be_checkpoint(const std::string& place) {
  std::error_code error;
  return is_remote_checkpoint(place) || fs::exists(place, error) ||
         fs::exists(place.substr(0, place.rfind('?')), error);
}

CheckpointPath resolve_checkpoint(const fs::path& path) {
  const std::string text = path.string();
  const size_t mark = text.rfind('?');
  std::error_code error;
  if (mark == std::string::npos || fs::exists(path, error)) return resolve(path);
  std::string tower;
  std::vector<std::string> given;
  for (const std::string& word : split(text.substr(mark + 1), '&'))
    if (word.starts_with(kTowerWord))
      tower = word.substr(kTowerWord.size());
    else
      given.push_back(word);
  CheckpointPath found = resolve(text.substr(0, mark), tower);
  found.image_tower = tower;
  found.given = join(given, "&");
  return found;
}

}  // namespace vit22b
