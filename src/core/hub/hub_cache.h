#pragma once
#include <filesystem>
#include <string>

#include "core/file.h"
#include "core/hub/hub_name.h"

namespace vit22b {

/// The hub's cache on this machine, in the layout of the hub's own library, so that both use one
/// copy: models--OWNER--NAME/ with refs/REVISION (a commit), blobs/HASH, snapshots/COMMIT/FILE
/// (links to blobs) and .no_exist/COMMIT/FILE (empty: the commit has no such file).
///
/// source  huggingface_hub, "Understand caching"; file_download.py
class HubCache {
 public:
  HubCache(std::filesystem::path root, const HubName& name);

  /// The commit of the name's revision as it was last asked for; "" where it never was.
  std::string commit() const;
  std::filesystem::path snapshot(const std::string& commit) const;
  std::filesystem::path blob(const std::string& hash) const;
  /// Whether the commit is known to have no such file.
  bool is_known_missing(const std::string& commit, const std::string& file) const;

  void note_commit(FileOps& ops, const std::string& commit) const;
  void note_missing(FileOps& ops, const std::string& commit, const std::string& file) const;
  /// Links a file of a snapshot to its blob.
  void link(FileOps& ops, const std::string& commit, const std::string& file,
            const std::string& hash) const;
  /// Where the lock of a blob's download is.
  std::filesystem::path lock(const std::string& hash) const;

  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path root_, folder_;
  HubName name_;
};

/// Whether a text is a commit's name: 40 hexadecimal digits.
bool is_commit(const std::string& text);
/// Whether a text is a hash that a blob may be called by.
bool is_blob_hash(const std::string& text);

/// Held while a blob is fetched: others wait for it. The hub's own library takes the same lock.
class BlobLock {
 public:
  /// throws  CheckpointError where it cannot be made; Stopped at a signal while waiting
  explicit BlobLock(const std::filesystem::path& path);
  ~BlobLock();
  BlobLock(const BlobLock&) = delete;
  BlobLock& operator=(const BlobLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace vit22b
