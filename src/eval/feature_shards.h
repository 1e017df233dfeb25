#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include "checkpoint/container/safetensors_file.h"
#include "core/watch.h"
#include "data/source.h"
#include "dist/mesh.h"
#include "eval/feature_extractor.h"
#include "eval/sample_names.h"

namespace vit22b {

/// How features are made, and who is told.
struct ShardOptions {
  int64_t batch_size = 32;
  int64_t num_workers = 0;
  int64_t samples_per_shard = 4096;
  std::map<std::string, std::string> metadata = {};  ///< more of it, for every shard
  double max_bad_fraction = 0.001;  ///< of the source, whether read now or found made
  int64_t max_pixels = kMaxPixels;  ///< see LoaderOptions
  Watch watch = {};                 ///< told how many samples are done
};

/// What decides the features of a source and their shards: the extractor, the samples, the names of
/// their labels, the size of a shard, and how this program makes pixels and features.
std::string shard_identity(const FeatureExtractor& extractor, const DataSource& source,
                           const ShardOptions& options);

/// Whether a folder has a file for each shard, so that nothing need be written there.
bool has_all_shards(const DataSource& source, const ShardOptions& options,
                    const std::filesystem::path& folder);

/// Makes the shards that a folder lacks, each rank some of them. Every rank calls it.
///
/// throws  on every rank, as make_feature_shards; a stop that any rank is asked for ends all when
///         each has made its shard
void share_feature_shards(FeatureExtractor& extractor, const DataSource& source,
                          const ShardOptions& options, const std::filesystem::path& folder,
                          FileOps& ops, const Mesh& mesh);

/// The features of a source in a folder, a shard at a time, which is all that is held: whole shards
/// survive an interruption and are not made again; a damaged one is. While another process makes
/// them, this one waits.
///
/// A shard, features-NNNNN.safetensors, has a tensor [n, ...] float32 or bfloat16 for every
/// feature, `labels`
/// (-1 without) and `indices` (in the source) [n] int64, and in its metadata the samples' `paths`
/// and `contents`, those that were `left_out` (a list of [index, name, reason]), and what it was
/// made from; little-endian, as the format has it. A shard whose samples are all bad has no
/// features and n = 0. What was left out is said each time.
/// throws  Stopped between batches; DataError for too many bad samples; UsageError when the folder
///         holds features of something else, or cannot be written
std::vector<std::unique_ptr<SafetensorsFile>> make_feature_shards(
    FeatureExtractor& extractor, const DataSource& source, const ShardOptions& options,
    const std::filesystem::path& folder, FileOps& ops);

}  // namespace vit22b
