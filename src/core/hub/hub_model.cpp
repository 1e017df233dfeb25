#include "core/hub/hub_model.h"

#include "core/error.h"
#include "core/http/download.h"
#include "core/http/remote_bytes.h"
#include "core/letter_case.h"
#include "core/log.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestListing = size_t{64} << 20;

// W/"abc" and "abc" are abc.
std::string tag_of(std::string text) {
  if (text.starts_with("W/")) text = text.substr(2);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  return ascii_lower_case(text);
}

}  // namespace

std::string url_path(const std::string& path) {
  constexpr std::string_view kPlain = "-_.~/";
  constexpr const char* kDigits = "0123456789ABCDEF";
  std::string text;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || kPlain.find(c) != std::string_view::npos;
    if (is_plain)
      text.push_back(c);
    else
      text += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return text;
}

namespace {

/// As one part of a path.
std::string url_part(const std::string& text) {
  std::string escaped;
  for (const char c : url_path(text)) escaped += c == '/' ? "%2F" : std::string(1, c);
  return escaped;
}

}  // namespace

HubModel::HubModel(HubName name, HubSettings settings)
    : name_(std::move(name)), settings_(std::move(settings)), cache_(settings_.cache, name_) {}

fs::path HubModel::cached() const {
  const std::string commit = cache_.commit();
  if (commit.empty()) return {};
  const fs::path folder = cache_.snapshot(commit);
  std::error_code error;
  return fs::is_directory(folder, error) ? folder : fs::path();
}

bool HubModel::knows(const std::string& file) const {
  const std::string commit = cache_.commit();
  std::error_code error;
  return !commit.empty() && (fs::exists(cache_.snapshot(commit) / file, error) ||
                             cache_.is_known_missing(commit, file));
}

std::string HubModel::url(const std::string& file) const {
  const std::string& revision = listing_ ? listing_->commit : name_.revision;
  return concat(settings_.endpoint, "/", name_.repository(), "/resolve/", url_part(revision), "/",
                url_path(file));
}

const HubListing& HubModel::listing(const std::vector<std::string>& absent) {
  if (listing_) return *listing_;
  PoliteClient client(manners_of(settings_));
  TextBody body(kLongestListing);
  const HttpAnswer answer =
      client.get(concat(settings_.endpoint, "/api/models/", name_.repository(), "/revision/",
                        url_part(name_.revision), "?blobs=true"),
                 body);
  if (answer.failure != HttpAnswer::Failure::kNone || answer.status != 200)
    throw CheckpointError(refusal_text(answer, {.url = "", .name = name_.text()}));
  if (body.is_too_long())
    throw CheckpointError(name_.text(), ": the hub's list of its files is longer than ",
                          human_bytes(static_cast<double>(kLongestListing)));
  listing_ = parse_hub_listing(body.text(), name_);
  FileOps ops(ExitCode::kCheckpoint);
  ops.make_folder(cache_.folder());
  for (const std::string& file : absent)
    if (listing_->find(file) == nullptr) cache_.note_missing(ops, listing_->commit, file);
  return *listing_;
}

HubFile HubModel::looked_up(HubFile file) {
  if (file.size_bytes >= 0 && !file.hash().empty()) return file;
  PoliteClient client(manners_of(settings_));
  const HttpAnswer answer = client.head(url(file.name));
  const bool is_there = answer.failure == HttpAnswer::Failure::kNone && answer.status < 400;
  if (!is_there)
    throw CheckpointError(
        refusal_text(answer, {.url = "", .name = concat(name_.text(), ":", file.name)}));
  const std::string linked = tag_of(answer.header("x-linked-etag"));
  const std::string tag = linked.empty() ? tag_of(answer.header("etag")) : linked;
  if (!is_blob_hash(tag))
    throw CheckpointError(name_.text(), ": the hub names no hash of ", file.name,
                          "; it cannot be kept safely");
  (tag.size() == 64 ? file.sha256 : file.git_sha1) = tag;
  file.size_bytes = size_in_header(linked.empty() ? answer.header("content-length")
                                                  : answer.header("x-linked-size"));
  return file;
}

void HubModel::fetch_one(const HubFile& listed) {
  std::error_code error;
  if (fs::exists(cache_.snapshot(listing_->commit) / listed.name, error)) return;
  const HubFile file = looked_up(listed);
  FileOps ops(ExitCode::kCheckpoint);
  const fs::path blob = cache_.blob(file.hash()), lock = cache_.lock(file.hash());
  ops.make_folder(lock.parent_path());
  ops.make_folder(blob.parent_path());
  const BlobLock held(lock);
  if (!fs::exists(blob, error)) {
    // Not the name that the hub's own library goes on with: it takes a file's length for what has
    // come, and parts come in any order.
    const fs::path unfinished = blob.string() + ".vit22b";
    download(ops,
             {url(file.name), concat(name_.text(), ":", file.name), file.size_bytes, file.sha256,
              file.git_sha1},
             unfinished, {.manners = manners_of(settings_), .is_quiet = log_is_quiet()});
    ops.rename(unfinished, blob);
    ops.sync_folder(blob.parent_path());
  }
  cache_.link(ops, listing_->commit, file.name, file.hash());
}

std::unique_ptr<ByteStore> HubModel::open_remote(const std::string& name) {
  const HubFile* listed = listing({}).find(name);
  if (listed == nullptr) throw CheckpointError(name_.text(), " has no file ", name);
  const HubFile file = looked_up(*listed);
  return open_remote_bytes(
      {url(name), concat(name_.text(), ":", name), file.size_bytes, file.sha256, file.git_sha1},
      manners_of(settings_));
}

fs::path HubModel::cached_file(const std::string& file) const {
  return cache_.snapshot(commit()) / file;
}

fs::path HubModel::fetch(const std::vector<std::string>& files) {
  for (const std::string& name : files) {
    const HubFile* file = listing({}).find(name);
    if (file == nullptr) throw CheckpointError(name_.text(), " has no file ", name);
    fetch_one(*file);
  }
  FileOps ops(ExitCode::kCheckpoint);
  cache_.note_commit(ops, listing({}).commit);
  return cache_.snapshot(listing({}).commit);
}

}  // namespace vit22b
