#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/hub/hub_name.h"

namespace vit22b {

/// A file of a model's tree, as the hub lists it.
struct HubFile {
  std::string name;
  int64_t size_bytes = -1;    ///< -1 where the hub does not say it
  std::string sha256 = {};    ///< of large files
  std::string git_sha1 = {};  ///< of git's blob of small ones

  /// What its blob is called in the cache; "" where the hub does not say it.
  const std::string& hash() const { return sha256.empty() ? git_sha1 : sha256; }
};

/// A commit, and the files that it has.
struct HubListing {
  std::string commit;
  std::vector<HubFile> files;

  /// Null where there is none.
  const HubFile* find(const std::string& name) const;
};

/// Reads the hub's answer to api/models/OWNER/NAME/revision/REVISION?blobs=true. Files whose names
/// lead elsewhere are left out, hashes that are none are not taken.
///
/// throws  CheckpointError where it is no such answer
HubListing parse_hub_listing(std::string_view json, const HubName& name);

}  // namespace vit22b
