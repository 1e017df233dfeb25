#include "eval/feature_shards.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_writer.h"
#include "core/checksum.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "data/loader.h"
#include "data/preprocessing.h"
#include "eval/finite.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLabels = "labels";
constexpr const char* kIndices = "indices";
constexpr const char* kMadeFrom = "made_from";
constexpr const char* kLeftOut = "left_out";
constexpr const char* kPaths = "paths";
/// Raised when a shard says more than it did.
constexpr int kShardVersion = 2;

std::string json_text(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string shard_name(int64_t shard) {
  char name[64];
  std::snprintf(name, sizeof name, "features-%05lld.safetensors", static_cast<long long>(shard));
  return name;
}

std::span<const std::byte> bytes_of_tensor(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

/// throws  CheckpointError where a shard's metadata lack it, Json::exception where it is no JSON
nlohmann::json said_by(const SafetensorsFile& shard, const char* key) {
  const auto found = shard.metadata().find(key);
  if (found == shard.metadata().end())
    throw CheckpointError(shard.path().string(), ": its metadata have no `", key, "`");
  return parse_json<nlohmann::json>(found->second, shard.path().string(), ExitCode::kCheckpoint);
}

std::vector<BadSample> left_out_of(const SafetensorsFile& shard) {
  std::vector<BadSample> left_out;
  for (const auto& bad : said_by(shard, kLeftOut))
    left_out.push_back({bad.at(1), bad.at(2), whole_number(bad.at(0))});
  return left_out;
}

/// Checks what the hash of the tensors does not cover: the header says whose rows they are.
///
/// throws  CheckpointError
void check_form(const SafetensorsFile& shard) {
  const std::vector<int64_t>& labels = shard.entry(kLabels).shape;
  const int64_t num_rows = labels.size() == 1 ? labels[0] : -1;
  shard.entry(kIndices);
  for (const auto& [name, entry] : shard.entries()) {
    const bool is_number = name == kLabels || name == kIndices;
    const bool is_right_type = is_number
                                   ? entry.dtype == at::kLong
                                   : entry.dtype == at::kFloat || entry.dtype == at::kBFloat16;
    if (!is_right_type || entry.shape.empty() || entry.shape[0] != num_rows ||
        (is_number && entry.shape.size() != 1))
      throw CheckpointError(shard.path().string(), ": its tensor '", name, "' is ",
                            c10::toString(entry.dtype), " ", shape_text(entry.shape), ", with ",
                            num_rows, " labels");
  }
  try {
    const auto paths = said_by(shard, kPaths).get<std::vector<std::string>>();
    if (static_cast<int64_t>(paths.size()) != num_rows)
      throw CheckpointError(shard.path().string(), ": its metadata have ", paths.size(),
                            " `paths` of ", num_rows, " rows");
    left_out_of(shard);
  } catch (const nlohmann::json::exception& e) {
    throw CheckpointError(shard.path().string(), ": its metadata are damaged (", e.what(), ")");
  }
  read_contents(shard, num_rows);
}

/// A shard that is there, whole, and made from the same; or null.
std::unique_ptr<SafetensorsFile> open_shard(const fs::path& path, const std::string& identity) {
  if (!fs::exists(path)) return nullptr;
  try {
    auto file = std::make_unique<SafetensorsFile>(path);
    const auto made_from = file->metadata().find(kMadeFrom);
    if (made_from == file->metadata().end() || made_from->second != identity)
      throw UsageError(path.string(),
                       " was made from another checkpoint, transform, data or size of shards; give "
                       "another folder, or remove this one");
    Xxh3Stream stream;
    for (const auto& [name, entry] : file->entries()) stream.add(file->bytes(entry));
    const auto want = file->metadata().find("xxh3_128");
    file->forget();  // of many shards none is held
    if (want != file->metadata().end() && want->second == stream.hash()) {
      check_form(*file);
      return file;
    }
    log_warn(path.string() + " is damaged and is made again");
  } catch (const CheckpointError& error) {
    log_warn(concat(error.what(), "; it is made again"));
  }
  return nullptr;
}

void write_shard(FileOps& ops, const fs::path& path,
                 const std::map<std::string, std::vector<at::Tensor>>& pieces,
                 const std::string& identity, std::map<std::string, std::string> metadata) {
  TensorList tensors;
  Xxh3Stream stream;
  for (const auto& [name, parts] : pieces) {
    tensors.emplace_back(name, at::cat(parts).contiguous());
    stream.add(bytes_of_tensor(tensors.back().second));
  }
  metadata[kMadeFrom] = identity;
  metadata["xxh3_128"] = stream.hash();
  write_safetensors(ops, path, tensors, metadata);
}

std::string left_out_json(const std::vector<BadSample>& left_out) {
  nlohmann::json list = nlohmann::json::array();
  for (const BadSample& bad : left_out) list.push_back({bad.index, bad.id, bad.reason});
  return json_text(list);
}

/// Counts what all shards leave out, whether they are made now or were found.
class LeftOut {
 public:
  LeftOut(const DataSource& source, double max_fraction)
      : size_(source.size()), max_fraction_(max_fraction) {}

  void add(const SafetensorsFile& shard) {
    for (const BadSample& bad : left_out_of(shard)) {
      log_warn(left_out_text(bad));
      check_bad_samples(++count_, size_, max_fraction_, bad.reason);
    }
  }

 private:
  int64_t size_;
  double max_fraction_;
  size_t count_ = 0;
};

/// Removes what an interrupted process left; the folder is this one's alone.
void remove_leftovers(FileOps& ops, const fs::path& folder) {
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(folder))
    if (is_temporary_name(entry.path().filename().string())) leftovers.push_back(entry.path());
  for (const fs::path& path : leftovers) ops.remove_all(path);
}

/// Makes the shards that are missing.
class ShardWriter {
 public:
  ShardWriter(FeatureExtractor& extractor, const DataSource& source, const ShardOptions& options,
              FileOps& ops)
      : extractor_(extractor), source_(source), options_(options), ops_(ops) {}

  void make_shard(int64_t first, const fs::path& path, const std::string& identity) const {
    const int64_t count = std::min(options_.samples_per_shard, source_.size() - first);
    BatchLoader loader(source_, extractor_.transforms(),
                       {.batch_size = std::min(options_.batch_size, count),
                        .first_index = static_cast<uint64_t>(first),
                        .num_samples = count,
                        .num_workers = options_.num_workers,
                        .is_training = false,
                        .max_bad_fraction = options_.max_bad_fraction,
                        .max_pixels = options_.max_pixels,
                        .hashes_content = true});
    std::map<std::string, std::vector<at::Tensor>> pieces;
    SampleNames names;
    int64_t done = first;
    for (Batch batch; loader.next(batch);) {
      if (options_.watch.should_stop())
        throw Stopped("stopped after ", first, " of ", source_.size(),
                      " samples; the same command goes on from there");
      if (!batch.images_BCHW().defined()) continue;
      for (const auto& [name, rows] : extractor_.extract(batch.images_BCHW())) {
        check_finite(rows, name, batch.ids);
        pieces[name].push_back(rows);
      }
      pieces[kLabels].push_back(batch.labels_B);
      pieces[kIndices].push_back(batch.indices_B);
      names.add(batch);
      done += batch.images_BCHW().size(0);
      options_.watch.on_progress(done, source_.size());
    }
    if (pieces.empty())
      for (const char* name : {kLabels, kIndices}) pieces[name] = {at::empty({0}, at::kLong)};
    std::map<std::string, std::string> metadata = names.metadata();
    metadata.insert(options_.metadata.begin(), options_.metadata.end());
    metadata[kLeftOut] = left_out_json(loader.bad_samples());
    write_shard(ops_, path, pieces, identity, std::move(metadata));
  }

 private:
  FeatureExtractor& extractor_;
  const DataSource& source_;
  const ShardOptions& options_;
  FileOps& ops_;
};

}  // namespace

std::string shard_identity(const FeatureExtractor& extractor, const DataSource& source,
                           const ShardOptions& options) {
  // Which pictures are left out; names of before are kept where nothing is said.
  const std::string limit =
      options.max_pixels == kMaxPixels ? "" : concat("\nmax_pixels ", options.max_pixels);
  return hash_of_text(concat(kPixelsVersion, " ", kShardVersion, "\n", extractor.fingerprint(),
                             source.fingerprint(), options.samples_per_shard, "\n",
                             join(source.label_names(), "\n"), limit));
}

namespace {

int64_t shard_count(const DataSource& source, const ShardOptions& options) {
  return (source.size() + options.samples_per_shard - 1) / options.samples_per_shard;
}

/// Numbers of the shards that are not there whole, found by one rank for all.
std::vector<int64_t> missing_shards(const fs::path& folder, int64_t count,
                                    const std::string& identity, const Mesh& mesh) {
  const std::string found = mesh.once([&] {
    std::string numbers;
    for (int64_t shard = 0; shard < count; ++shard)
      if (open_shard(folder / shard_name(shard), identity) == nullptr)
        numbers += concat(shard, " ");
    return numbers;
  });
  std::vector<int64_t> missing;
  for (const std::string& number : split(found, ' '))
    if (!number.empty()) missing.push_back(std::stoll(number));
  return missing;
}

}  // namespace

void share_feature_shards(FeatureExtractor& extractor, const DataSource& source,
                          const ShardOptions& options, const fs::path& folder, FileOps& ops,
                          const Mesh& mesh) {
  const std::string identity = shard_identity(extractor, source, options);
  const int64_t count = shard_count(source, options), ranks = mesh.size(MeshAxis::kAll);
  if (missing_shards(folder, count, identity, mesh).empty()) return;
  std::optional<FolderLock> lock;  // on the one rank
  mesh.do_once([&] {
    ops.make_folder(folder);
    lock.emplace(folder, options.watch.should_stop);
    remove_leftovers(ops, folder);
  });
  // Another process may have made some while this one waited.
  const std::vector<int64_t> missing = missing_shards(folder, count, identity, mesh);
  const ShardWriter writer(extractor, source, options, ops);
  const auto own = static_cast<size_t>(mesh.share(MeshAxis::kAll, ranks).first);
  for (size_t first = 0; first < missing.size(); first += static_cast<size_t>(ranks))
    mesh.agree([&] {
      if (first + own >= missing.size()) return;
      const int64_t shard = missing[first + own];
      writer.make_shard(shard * options.samples_per_shard, folder / shard_name(shard), identity);
    });
}

bool has_all_shards(const DataSource& source, const ShardOptions& options, const fs::path& folder) {
  for (int64_t shard = 0; shard < shard_count(source, options); ++shard)
    if (!fs::exists(folder / shard_name(shard))) return false;
  return true;
}

std::vector<std::unique_ptr<SafetensorsFile>> make_feature_shards(FeatureExtractor& extractor,
                                                                  const DataSource& source,
                                                                  const ShardOptions& options,
                                                                  const fs::path& folder,
                                                                  FileOps& ops) {
  const std::string identity = shard_identity(extractor, source, options);
  std::vector<std::unique_ptr<SafetensorsFile>> shards;
  std::optional<FolderLock> lock;  // of the one who makes what is missing
  LeftOut left_out(source, options.max_bad_fraction);
  int64_t num_rows = 0;
  for (int64_t first = 0; first < source.size(); first += options.samples_per_shard) {
    const fs::path path = folder / shard_name(static_cast<int64_t>(shards.size()));
    auto shard = open_shard(path, identity);
    if (shard == nullptr) {
      if (!lock) {
        const bool is_missing = !fs::exists(path);
        ops.make_folder(folder);
        lock.emplace(folder, options.watch.should_stop);
        remove_leftovers(ops, folder);
        if (is_missing) shard = open_shard(path, identity);  // made meanwhile by another process
      }
    }
    if (shard == nullptr) {
      ShardWriter(extractor, source, options, ops).make_shard(first, path, identity);
      shard = open_shard(path, identity);
    }
    if (shard == nullptr)
      throw CheckpointError(path.string(), " is not as it was written; is the disk well?");
    left_out.add(*shard);
    num_rows += shard->entry(kLabels).shape.at(0);
    shards.push_back(std::move(shard));
    options.watch.on_progress(std::min(first + options.samples_per_shard, source.size()),
                              source.size());
  }
  if (num_rows == 0) throw DataError("none of ", source.size(), " samples can be used");
  return shards;
}

}  // namespace vit22b
