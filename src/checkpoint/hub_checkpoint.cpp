#include "checkpoint/hub_checkpoint.h"

#include <algorithm>

#include "checkpoint/container/containers.h"
#include "checkpoint/inner_tower.h"
#include "checkpoint/remote_tower.h"
#include "core/checksum.h"
#include "core/error.h"
#include "core/hub/hub_model.h"
#include "core/log.h"
#include "core/user_cache.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

// As CheckpointPath's readers look for them.
constexpr const char* kWeights[] = {
    "model.safetensors", "model.safetensors.index.json", "open_clip_model.safetensors",
    "pytorch_model.bin", "pytorch_model.bin.index.json", "open_clip_pytorch_model.bin"};

std::string folder_of(const std::string& file) {
  const size_t slash = file.rfind('/');
  return slash == std::string::npos ? "" : file.substr(0, slash + 1);
}

std::vector<std::string> configs_beside(const std::string& file) {
  std::vector<std::string> names;
  for (const char* name : kModelConfigs) names.push_back(in_folder_of(file, name));
  return names;
}

bool is_index(const std::string& file) {
  return file.ends_with(".index.json");
}

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    std::error_code error;
    if (fs::is_regular_file(entry.path(), error))
      files.push_back(entry.path().lexically_relative(folder).generic_string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

CheckpointPath path_of(const fs::path& snapshot, const std::string& weights, const HubName& name) {
  const fs::path file = snapshot / weights;
  // A folder's own weights need no name; what was named is what is used.
  const bool is_default = name.file.empty() && std::find(std::begin(kWeights), std::end(kWeights),
                                                         weights) != std::end(kWeights);
  return is_default ? CheckpointPath(snapshot)
                    : CheckpointPath(file.parent_path(), file.filename().string());
}

/// What the cache has, if it is whole.
std::optional<CheckpointPath> from_cache(const HubModel& model, bool has_to_be_known) {
  const fs::path snapshot = model.cached();
  if (snapshot.empty()) return std::nullopt;
  std::string weights;
  try {
    weights = weights_among(files_in(snapshot), model.name().file, model.name().text());
    if (is_index(weights))
      for (const std::string& shard : shards_of(snapshot / weights))
        if (std::error_code error; !fs::exists((snapshot / weights).parent_path() / shard, error))
          return std::nullopt;
  } catch (const CheckpointError&) {
    return std::nullopt;
  }
  const std::vector<std::string> configs = configs_beside(weights);
  const bool is_known = std::all_of(configs.begin(), configs.end(),
                                    [&](const std::string& file) { return model.knows(file); });
  if (!is_known && has_to_be_known) return std::nullopt;
  if (!model.knows(configs[1]) && !is_known)
    log_warn(concat(model.name().text(), ": the cache does not know whether it has a ", configs[1],
                    "; pictures are prepared as its family's are unless its config says more"));
  return path_of(snapshot, weights, model.name());
}

/// Where a tower out of a larger model is kept.
fs::path tower_folder(const HubModel& model, const std::string& tower) {
  const HubName& name = model.name();
  const std::string of_file = name.file.empty() ? "" : "-" + hash_of_text(name.file).substr(0, 16);
  return user_cache_folder() / "towers" / concat(name.owner, "--", name.name) / model.commit() /
         ((tower.empty() ? "vision" : tower) + of_file);
}

// Of a model in the cache or listed: its image tower, if that is a part of a larger whole.
std::optional<CheckpointPath> tower_from_cache(const HubModel& model, const std::string& tower) {
  if (model.commit().empty() || user_cache_folder().empty()) return std::nullopt;
  const fs::path folder = tower_folder(model, tower);
  std::error_code error;
  if (!fs::is_regular_file(folder / "model.safetensors", error)) return std::nullopt;
  return CheckpointPath(folder);
}

CheckpointPath fetched(HubModel& model, const std::string& wanted_tower) {
  const HubName& name = model.name();
  std::vector<std::string> names;
  const HubListing& listing = model.listing(configs_beside(name.file));
  names.reserve(listing.files.size());
  for (const HubFile& file : listing.files) names.push_back(file.name);
  const std::string weights = weights_among(names, name.file, name.text());
  std::vector<std::string> wanted = files_beside(listing, weights);
  const fs::path snapshot = model.fetch(wanted);
  CheckpointPath place = path_of(snapshot, weights, name);
  place.image_tower = wanted_tower;
  if (const auto tower = inner_tower(place); tower && !tower->is_of_head) {
    const fs::path folder = tower_folder(model, wanted_tower);
    if (!tower_from_cache(model, wanted_tower)) fetch_tower(model, *tower, weights, folder);
    return {folder};
  }
  wanted.push_back(weights);
  if (is_index(weights))
    for (const std::string& shard : shards_of(model.fetch({weights}) / weights))
      wanted.push_back(in_folder_of(weights, shard));
  return path_of(model.fetch(wanted), weights, name);
}

}  // namespace

std::string in_folder_of(const std::string& file, const std::string& name) {
  return folder_of(file) + name;
}

std::vector<std::string> files_beside(const HubListing& listing, const std::string& weights) {
  constexpr int64_t kLargest = int64_t{64} << 20;  // of what is no weights: a tokenizer's words
  constexpr const char* kEndings[] = {".json", ".txt", ".model"};
  const std::string folder = folder_of(weights);
  std::vector<std::string> files;
  for (const HubFile& file : listing.files) {
    const bool is_beside =
        file.name.starts_with(folder) && file.name.find('/', folder.size()) == std::string::npos;
    const bool is_text = std::any_of(std::begin(kEndings), std::end(kEndings),
                                     [&](const char* end) { return file.name.ends_with(end); });
    if (is_beside && is_text && !is_index(file.name) && file.size_bytes <= kLargest)
      files.push_back(file.name);
  }
  return files;
}

std::string weights_among(const std::vector<std::string>& files, const std::string& named,
                          const std::string& model) {
  const auto is_there = [&](const std::string& name) {
    return std::find(files.begin(), files.end(), name) != files.end();
  };
  std::vector<std::string> others;
  for (const std::string& file : files)
    if (has_container_ending(file) && file.find('/') == std::string::npos) others.push_back(file);
  if (!named.empty()) {
    if (is_there(named)) return named;
    throw CheckpointError(model, ": there is no such file", did_you_mean(named, files));
  }
  for (const char* name : kWeights)
    if (is_there(name)) return name;
  if (others.size() == 1) return others.front();
  throw CheckpointError(
      model,
      others.empty() ? " has no file of weights that is read at its top; name one of a folder"
                     : concat(" has ", others.size(), " files of weights, such as ", others.front(),
                              "; name the one that is meant"),
      ", as ", model, ":FILE");
}

CheckpointPath hub_checkpoint(const std::string& text, const HubSettings& settings,
                              const std::string& tower) {
  HubModel model(parse_hub_name(text), settings);
  if (const auto found = tower_from_cache(model, tower)) return *found;
  if (const auto found = from_cache(model, /*has_to_be_known=*/true)) return *found;
  const auto old = from_cache(model, /*has_to_be_known=*/false);
  if (!model.may_ask()) {
    if (old) return *old;
    throw CheckpointError(text, " is not in the cache ", settings.cache.string(),
                          ", and HF_HUB_OFFLINE forbids to ask for it");
  }
  try {
    return fetched(model, tower);
  } catch (const CheckpointError& e) {
    if (!old) throw;
    log_warn(concat(e.what(), "; what is in the cache is used"));
    return *old;
  }
}

}  // namespace vit22b
