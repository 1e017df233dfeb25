#include "eval/feature_cache.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/json.h"
#include "core/user_cache.h"
#include "kernels/shape.h"

namespace vit22b {

namespace fs = std::filesystem;

FeatureTable::FeatureTable(std::vector<std::unique_ptr<SafetensorsFile>> shards,
                           std::vector<std::string> label_names, std::string place,
                           std::filesystem::path folder)
    : shards_(std::move(shards)),
      label_names_(std::move(label_names)),
      place_(std::move(place)),
      folder_(std::move(folder)) {
  VIT22B_CHECK(!shards_.empty(), "FeatureTable: no shards");
  std::vector<at::Tensor> labels, indices;
  int64_t first = 0;
  for (const auto& shard : shards_) {
    labels.push_back(shard->load("labels"));
    indices.push_back(shard->load("indices"));
    first_rows_.push_back(first);
    first += labels.back().size(0);
    const auto ids = parse_json<nlohmann::json>(shard->metadata().at("paths"),
                                                shard->path().string(), ExitCode::kCheckpoint)
                         .get<std::vector<std::string>>();
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    const std::vector<std::string> contents = read_contents(*shard, labels.back().size(0));
    contents_.insert(contents_.end(), contents.begin(), contents.end());
  }
  labels_N_ = at::cat(labels);
  indices_N_ = at::cat(indices);
}

const SafetensorsFile::Entry& FeatureTable::any_entry(const std::string& name) const {
  for (const auto& shard : shards_) {
    if (!shard->contains(name)) continue;
    const std::vector<int64_t>& shape = shard->entry(name).shape;
    if (shape.size() == 2) return shard->entry(name);
    throw CheckpointError(shard->path().string(), ": its tensor '", name, "' is ",
                          shape_text(shape), ", want [N, D]; remove the file");
  }
  throw CheckpointError(folder_.string(), " has no features '", name, "'; remove the folder");
}

int64_t FeatureTable::width(const std::string& name) const {
  return any_entry(name).shape[1];
}

at::Tensor FeatureTable::mapped(size_t shard, const std::string& name) const {
  const SafetensorsFile::Entry& entry = shards_[shard]->entry(name);
  // Read only: a mapping has no writable pages.
  auto* data = const_cast<std::byte*>(shards_[shard]->bytes(entry).data());
  return at::from_blob(data, entry.shape, entry.dtype);
}

at::Tensor FeatureTable::rows(const std::string& name, const at::Tensor& indices) const {
  const int64_t count = indices.size(0), columns = width(name);
  at::Tensor out = at::empty({count, columns}, any_entry(name).dtype);
  const auto* index = indices.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i) {
    VIT22B_CHECK(index[i] >= 0 && index[i] < size(), "FeatureTable: row ", index[i]);
    const auto shard =
        static_cast<size_t>(std::upper_bound(first_rows_.begin(), first_rows_.end(), index[i]) -
                            first_rows_.begin() - 1);
    const SafetensorsFile::Entry& entry = shards_[shard]->entry(name);
    if (entry.dtype != out.scalar_type() || entry.shape.at(1) != columns)
      throw CheckpointError(shards_[shard]->path().string(), ": its tensor '", name,
                            "' is not as in the other files; remove the folder");
    const auto bytes = static_cast<size_t>(columns) * out.element_size();
    const std::byte* from = shards_[shard]->bytes(entry).data() +
                            static_cast<size_t>(index[i] - first_rows_[shard]) * bytes;
    std::copy_n(from, bytes,
                static_cast<std::byte*>(out.mutable_data_ptr()) + static_cast<size_t>(i) * bytes);
  }
  return out;
}

at::Tensor FeatureTable::all(const std::string& name) const {
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < shards_.size(); ++i)
    if (shards_[i]->contains(name)) parts.push_back(mapped(i, name));
  return at::cat(parts);
}

LabelledFeatures FeatureTable::labelled(const std::string& name) const {
  return {all(name), labels_N_, label_names_, place_, contents_};
}

namespace {

/// The folder of a key: where its features are, or else where they can be made.
fs::path folder_for(const std::string& key, const DataSource& source, const CacheOptions& options) {
  for (const fs::path& root : {options.root, options.otherwise})
    if (!root.empty() &&
        (has_all_shards(source, options.shards, root / key) || can_write_in(root / key)))
      return root / key;
  throw UsageError("features cannot be kept in ", options.root.string(),
                   options.otherwise.empty() ? "" : " nor in " + options.otherwise.string(),
                   ", which cannot be written; give another folder with --cache");
}

}  // namespace

CacheOptions cache_places_at(const fs::path& root) {
  return {.root = root, .otherwise = user_cache_folder()};
}

CacheOptions cache_places(const fs::path& checkpoint, const fs::path& named) {
  if (!named.empty()) return {.root = named};
  // Nothing is put beside what lies in another program's cache.
  if (is_remote_checkpoint(checkpoint.string()))
    return {.root = user_cache_folder(), .otherwise = user_cache_folder()};
  return cache_places_at((fs::is_directory(checkpoint) ? checkpoint : checkpoint.parent_path()) /
                         "cache");
}

void share_features(FeatureExtractor& extractor, const DataSource& source,
                    const CacheOptions& options, FileOps& ops, const Mesh& mesh) {
  const std::string key = shard_identity(extractor, source, options.shards).substr(0, 16);
  const fs::path folder = mesh.once([&] { return folder_for(key, source, options).string(); });
  share_feature_shards(extractor, source, options.shards, folder, ops, mesh);
}

FeatureTable cached_features(FeatureExtractor& extractor, const DataSource& source,
                             const CacheOptions& options, FileOps& ops) {
  const fs::path folder =
      folder_for(shard_identity(extractor, source, options.shards).substr(0, 16), source, options);
  return {make_feature_shards(extractor, source, options.shards, folder, ops), source.label_names(),
          extractor.place(), folder};
}

}  // namespace vit22b
