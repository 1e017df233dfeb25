#include "core/hub/hub_listing.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/hub/hub_cache.h"
#include "core/json.h"
#include "core/log.h"
#include "core/printable.h"

namespace vit22b {
namespace {

using Json = nlohmann::json;

std::string text_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

int64_t size_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_number_unsigned()) return -1;
  constexpr uint64_t kMost = uint64_t{1} << 50;
  const auto size = it->get<uint64_t>();
  return size <= kMost ? static_cast<int64_t>(size) : -1;
}

HubFile file_of(const Json& entry) {
  HubFile file{.name = text_at(entry, "rfilename"), .size_bytes = size_at(entry, "size")};
  if (const std::string hash = text_at(entry, "blobId"); hash.size() == 40 && is_blob_hash(hash))
    file.git_sha1 = hash;
  const auto lfs = entry.find("lfs");
  if (lfs == entry.end() || !lfs->is_object()) return file;
  if (const std::string hash = text_at(*lfs, "sha256"); hash.size() == 64 && is_blob_hash(hash))
    file.sha256 = hash;
  if (file.size_bytes < 0) file.size_bytes = size_at(*lfs, "size");
  // The blob of a large file is its pointer's in git: nothing that its bytes have.
  file.git_sha1.clear();
  return file;
}

}  // namespace

const HubFile* HubListing::find(const std::string& name) const {
  const auto it = std::find_if(files.begin(), files.end(),
                               [&](const HubFile& file) { return file.name == name; });
  return it == files.end() ? nullptr : &*it;
}

HubListing parse_hub_listing(std::string_view json, const HubName& name) {
  HubListing listing;
  try {
    const Json answer = parse_json<Json>(json, name.text(), ExitCode::kCheckpoint);
    if (!answer.is_object()) throw CheckpointError("");
    listing.commit = text_at(answer, "sha");
    const auto siblings = answer.find("siblings");
    if (!is_commit(listing.commit) || siblings == answer.end() || !siblings->is_array())
      throw CheckpointError("");
    for (const Json& entry : *siblings) {
      if (!entry.is_object()) continue;
      HubFile file = file_of(entry);
      if (is_safe_path(file.name))
        listing.files.push_back(std::move(file));
      else
        log_warn(concat(name.text(), ": the hub lists a file '", printable(file.name),
                        "', whose name is not used"));
    }
  } catch (const std::exception&) {
    throw CheckpointError(name.text(), ": what the hub says of it is no list of a model's files; ",
                          "is HF_ENDPOINT a hub?");
  }
  return listing;
}

}  // namespace vit22b
