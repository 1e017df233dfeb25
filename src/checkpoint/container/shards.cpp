#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/container/containers.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace vit22b {
namespace {

constexpr size_t kIndexLimit = 256 << 20;

// The shard of each tensor.
std::map<std::string, std::string> read_index(const std::filesystem::path& index) {
  try {
    const std::string text = read_text(index, ExitCode::kCheckpoint, kIndexLimit);
    auto map = parse_json<nlohmann::json>(text, index.string(), ExitCode::kCheckpoint)
                   .at("weight_map")
                   .get<std::map<std::string, std::string>>();
    for (const auto& [tensor, shard] : map)
      if (shard.find('/') != std::string::npos || shard.empty() || shard.ends_with(".json"))
        throw CheckpointError(index.string(), ": '", shard, "' is no plain name of a shard");
    return map;
  } catch (const nlohmann::json::exception& e) {
    throw CheckpointError(index.string(), " is damaged (", e.what(), ")");
  }
}

}  // namespace

std::map<std::string, std::string> shards_by_tensor(const std::filesystem::path& index) {
  return read_index(index);
}

std::vector<std::string> shards_of(const std::filesystem::path& index) {
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : read_index(index)) shards.insert(shard);
  return {shards.begin(), shards.end()};
}

TensorContainer open_shards(const std::filesystem::path& index) {
  const std::map<std::string, std::string> shard_of_tensor = read_index(index);
  std::map<std::string, std::vector<std::string>> tensors_of_shard;
  for (const auto& [tensor, shard] : shard_of_tensor) tensors_of_shard[shard].push_back(tensor);
  TensorContainer all(index);
  for (const auto& [shard, tensors] : tensors_of_shard) {
    TensorContainer file = open_container(index.parent_path() / shard);
    for (const std::string& tensor : tensors)
      if (!file.contains(tensor))
        throw CheckpointError(index.string(), ": tensor '", tensor, "' is not in ", shard,
                              ", where the index has it");
    for (const std::string& tensor : file.names())
      if (const auto it = shard_of_tensor.find(tensor);
          it == shard_of_tensor.end() || it->second != shard)
        throw CheckpointError(index.string(), ": ", shard, " holds the tensor '", tensor,
                              "', which the index has not there");
    all.take(std::move(file), tensors);
  }
  return all;
}

}  // namespace vit22b
