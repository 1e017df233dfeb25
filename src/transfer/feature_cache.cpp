#include "transfer/feature_cache.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/checksum.h"
#include "core/error.h"
#include "core/log.h"
#include "data/loader.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLabels = "labels";
constexpr const char* kIndices = "indices";

std::string shard_name(int64_t shard) {
  char name[64];
  std::snprintf(name, sizeof name, "features-%05lld.safetensors", static_cast<long long>(shard));
  return name;
}

std::span<const std::byte> bytes_of_tensor(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

/// A shard that is there and whole, or null.
std::unique_ptr<SafetensorsFile> open_shard(const fs::path& path) {
  if (!fs::exists(path)) return nullptr;
  try {
    auto file = std::make_unique<SafetensorsFile>(path);
    Xxh3Stream stream;
    for (const auto& [name, entry] : file->entries()) stream.add(file->bytes(entry));
    const auto want = file->metadata().find("xxh3_128");
    if (want != file->metadata().end() && want->second == stream.hash()) return file;
    log_warn(path.string() + " is damaged and is made again");
  } catch (const CheckpointError& error) {
    log_warn(concat(error.what(), "; it is made again"));
  }
  return nullptr;
}

void write_shard(FileOps& ops, const fs::path& path,
                 const std::map<std::string, std::vector<at::Tensor>>& pieces,
                 const std::vector<std::string>& ids) {
  TensorList tensors;
  Xxh3Stream stream;
  for (const auto& [name, parts] : pieces) {
    tensors.emplace_back(name, at::cat(parts).contiguous());
    stream.add(bytes_of_tensor(tensors.back().second));
  }
  write_safetensors(
      ops, path, tensors,
      {{"ids", nlohmann::json(ids).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)},
       {"xxh3_128", stream.hash()}});
}

/// Makes the shards that are missing.
class CacheWriter {
 public:
  CacheWriter(FeatureExtractor& extractor, const DataSource& source, const CacheOptions& options,
              FileOps& ops)
      : extractor_(extractor), source_(source), options_(options), ops_(ops) {}

  void make_shard(int64_t first, int64_t count, const fs::path& path) const {
    BatchLoader loader(source_, extractor_.transforms(),
                       {.batch_size = std::min(options_.batch_size, count),
                        .first_index = static_cast<uint64_t>(first),
                        .num_samples = count,
                        .num_workers = options_.num_workers,
                        .is_training = false,
                        .max_bad_fraction = options_.max_bad_fraction});
    std::map<std::string, std::vector<at::Tensor>> pieces;
    std::vector<std::string> ids;
    int64_t done = first;
    for (Batch batch; loader.next(batch);) {
      if (options_.should_stop())
        throw Stopped("stopped after ", first, " of ", source_.size(),
                      " samples; the same command goes on from there");
      if (!batch.images_BCHW.defined()) continue;
      for (const auto& [name, rows] : extractor_.extract(batch.images_BCHW))
        pieces[name].push_back(rows);
      pieces[kLabels].push_back(batch.labels_B);
      pieces[kIndices].push_back(batch.indices_B);
      ids.insert(ids.end(), batch.ids.begin(), batch.ids.end());
      done += batch.images_BCHW.size(0);
      options_.on_progress(done);
    }
    for (const BadSample& bad : loader.bad_samples())
      log_warn(concat("left out: ", bad.id, ": ", bad.reason));
    if (pieces.empty()) throw DataError("none of ", count, " samples can be used");
    write_shard(ops_, path, pieces, ids);
  }

 private:
  FeatureExtractor& extractor_;
  const DataSource& source_;
  const CacheOptions& options_;
  FileOps& ops_;
};

}  // namespace

FeatureTable::FeatureTable(std::vector<std::unique_ptr<SafetensorsFile>> shards,
                           std::vector<std::string> label_names, std::string place)
    : shards_(std::move(shards)), label_names_(std::move(label_names)), place_(std::move(place)) {
  VIT22B_CHECK(!shards_.empty(), "FeatureTable: no shards");
  std::vector<at::Tensor> labels, indices;
  int64_t first = 0;
  for (const auto& shard : shards_) {
    labels.push_back(shard->load(kLabels));
    indices.push_back(shard->load(kIndices));
    first_rows_.push_back(first);
    first += labels.back().size(0);
    const auto ids = nlohmann::json::parse(shard->metadata().at("ids"));
    ids_.insert(ids_.end(), ids.begin(), ids.end());
  }
  labels_N_ = at::cat(labels);
  indices_N_ = at::cat(indices);
}

int64_t FeatureTable::width(const std::string& name) const {
  return shards_.front()->entry(name).shape.at(1);
}

at::Tensor FeatureTable::mapped(size_t shard, const std::string& name) const {
  const SafetensorsFile::Entry& entry = shards_[shard]->entry(name);
  // Read only: a mapping has no writable pages.
  auto* data = const_cast<std::byte*>(shards_[shard]->bytes(entry).data());
  return at::from_blob(data, entry.shape, entry.dtype);
}

at::Tensor FeatureTable::rows(const std::string& name, const at::Tensor& indices) const {
  const int64_t count = indices.size(0), columns = width(name);
  at::Tensor out = at::empty({count, columns});
  const auto* index = indices.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i) {
    VIT22B_CHECK(index[i] >= 0 && index[i] < size(), "FeatureTable: row ", index[i]);
    const auto shard =
        static_cast<size_t>(std::upper_bound(first_rows_.begin(), first_rows_.end(), index[i]) -
                            first_rows_.begin() - 1);
    const SafetensorsFile::Entry& entry = shards_[shard]->entry(name);
    const auto bytes = static_cast<size_t>(columns) * sizeof(float);
    const std::byte* from = shards_[shard]->bytes(entry).data() +
                            static_cast<size_t>(index[i] - first_rows_[shard]) * bytes;
    std::copy_n(from, bytes, reinterpret_cast<std::byte*>(out.data_ptr<float>() + i * columns));
  }
  return out;
}

at::Tensor FeatureTable::all(const std::string& name) const {
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < shards_.size(); ++i) parts.push_back(mapped(i, name));
  return at::cat(parts);
}

LabelledFeatures FeatureTable::labelled(const std::string& name) const {
  return {all(name), labels_N_, label_names_, place_};
}

fs::path default_cache_root(const fs::path& checkpoint) {
  return (fs::is_directory(checkpoint) ? checkpoint : checkpoint.parent_path()) / "cache";
}

FeatureTable cached_features(FeatureExtractor& extractor, const DataSource& source,
                             const CacheOptions& options, FileOps& ops) {
  const std::string identity =
      extractor.fingerprint() + source.fingerprint() + std::to_string(options.samples_per_shard);
  const fs::path folder = options.root / hash_of_text(identity).substr(0, 16);
  std::vector<std::unique_ptr<SafetensorsFile>> shards;
  std::optional<FolderLock> lock;  // of the one who makes what is missing
  for (int64_t first = 0; first < source.size(); first += options.samples_per_shard) {
    const fs::path path = folder / shard_name(static_cast<int64_t>(shards.size()));
    auto shard = open_shard(path);
    if (shard == nullptr) {
      if (!lock) {
        ops.make_folder(folder);
        lock.emplace(folder);
      }
      CacheWriter(extractor, source, options, ops)
          .make_shard(first, std::min(options.samples_per_shard, source.size() - first), path);
      shard = open_shard(path);
    }
    if (shard == nullptr)
      throw CheckpointError(path.string(), " is not as it was written; is the disk well?");
    shards.push_back(std::move(shard));
    options.on_progress(std::min(first + options.samples_per_shard, source.size()));
  }
  return {std::move(shards), source.label_names(), extractor.place()};
}

}  // namespace vit22b
