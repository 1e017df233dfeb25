#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/byte_store.h"
#include "core/hub/hub_cache.h"
#include "core/hub/hub_listing.h"
#include "core/hub/hub_settings.h"

namespace vit22b {

/// A model of the hub at one revision: what of it is in this machine's cache, and the way to the
/// rest.
class HubModel {
 public:
  HubModel(HubName name, HubSettings settings);

  const HubName& name() const { return name_; }
  /// The snapshot's folder in the cache, before anybody is asked; "" where there is none.
  std::filesystem::path cached() const;
  /// Whether the cache says of a file that it is there, or that the revision has none.
  bool knows(const std::string& file) const;
  bool may_ask() const { return !settings_.is_offline; }

  /// Asks the hub what the revision has, once; what `absent` names and it does not have is noted
  /// in the cache.
  ///
  /// throws  CheckpointError saying what the hub answers, or that it does not
  const HubListing& listing(const std::vector<std::string>& absent);
  /// Fetches files of the listing that are not in the cache.
  ///
  /// returns  the snapshot's folder
  /// throws   CheckpointError as download does, and for a file that the listing does not have
  std::filesystem::path fetch(const std::vector<std::string>& files);
  /// A file of the listing, by ranges, without a copy of it.
  std::unique_ptr<ByteStore> open_remote(const std::string& file);
  /// Where a file of the listing's commit is in the cache, if it is there.
  std::filesystem::path cached_file(const std::string& file) const;
  /// The listing's commit, else the cache's; "" for none.
  std::string commit() const { return listing_ ? listing_->commit : cache_.commit(); }
  /// Where a file of the revision is on the hub.
  std::string url(const std::string& file) const;

 private:
  void fetch_one(const HubFile& file);
  /// With the size and hash that the hub names where the listing did not.
  HubFile looked_up(HubFile file);

  HubName name_;
  HubSettings settings_;
  HubCache cache_;
  std::optional<HubListing> listing_;
};

/// Escapes a path for a URL; slashes stay.
std::string url_path(const std::string& path);

}  // namespace vit22b
