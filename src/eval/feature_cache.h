#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "eval/feature_shards.h"
#include "eval/labelled_features.h"

namespace vit22b {

/// Features of a data set in mapped files: rows are read where they are used.
///
/// A cache is a folder of shards as make_feature_shards has them, every feature [n, D].
class FeatureTable {
 public:
  /// place   of what made them, for messages
  /// folder  that the shards are in
  FeatureTable(std::vector<std::unique_ptr<SafetensorsFile>> shards,
               std::vector<std::string> label_names, std::string place,
               std::filesystem::path folder);

  int64_t size() const { return labels_N_.size(0); }
  /// throws  CheckpointError for a feature that the shards have not, or that is no vector
  int64_t width(const std::string& name) const;
  const at::Tensor& labels() const { return labels_N_; }
  /// Where each row's sample stands in its source.
  const at::Tensor& indices() const { return indices_N_; }
  const std::vector<std::string>& ids() const { return ids_; }
  /// content_hash of each row's sample.
  const std::vector<std::string>& contents() const { return contents_; }
  const std::filesystem::path& folder() const { return folder_; }
  /// indices int64 → [rows, D] in the dtype of the files, a copy.
  at::Tensor rows(const std::string& name, const at::Tensor& indices) const;
  /// Everything of one name, in memory.
  at::Tensor all(const std::string& name) const;
  LabelledFeatures labelled(const std::string& name) const;

 private:
  /// A feature as the first shard that has it says it is: one whose samples are all bad has none.
  const SafetensorsFile::Entry& any_entry(const std::string& name) const;
  /// A shard's tensor where it lies in the file.
  at::Tensor mapped(size_t shard, const std::string& name) const;

  std::vector<std::unique_ptr<SafetensorsFile>> shards_;
  std::vector<int64_t> first_rows_;
  at::Tensor labels_N_, indices_N_;
  std::vector<std::string> ids_, contents_, label_names_;
  std::string place_;
  std::filesystem::path folder_;
};

/// Where and how features are made.
struct CacheOptions {
  std::filesystem::path root;  ///< holds a folder for each data set and extractor
  /// Where they are kept if `root` cannot be written; empty for nowhere.
  std::filesystem::path otherwise = {};
  ShardOptions shards = {};
};

/// Where the features of a checkpoint are kept: in the folder that a user names, else in CKPT/cache
/// (beside the file where it is one), or, where that cannot be written, in $XDG_CACHE_HOME/vit22b
/// or
/// ~/.cache/vit22b.
CacheOptions cache_places(const std::filesystem::path& checkpoint,
                          const std::filesystem::path& named);
/// The same of features that no checkpoint makes, with `root` for its cache.
CacheOptions cache_places_at(const std::filesystem::path& root);

/// Makes what the cache lacks of a source's features, each rank some of them. Every rank calls it.
///
/// throws  as cached_features, on every rank
void share_features(FeatureExtractor& extractor, const DataSource& source,
                    const CacheOptions& options, FileOps& ops, const Mesh& mesh);

/// The features of a source, from the cache where they are there, else made and kept.
///
/// The key is the extractor's fingerprint (weights, arithmetic, transform, names) and the source's,
/// as shard_identity has them.
/// throws  as make_feature_shards; UsageError when there is nowhere to keep them
FeatureTable cached_features(FeatureExtractor& extractor, const DataSource& source,
                             const CacheOptions& options, FileOps& ops);

}  // namespace vit22b
