#include "core/hub/hub_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

bool is_hex(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

bool is_commit(const std::string& text) {
  return text.size() == 40 && is_hex(text);
}

bool is_blob_hash(const std::string& text) {
  return (text.size() == 40 || text.size() == 64) && is_hex(text);
}

HubCache::HubCache(fs::path root, const HubName& name)
    : root_(std::move(root)),
      folder_(root_ / concat("models--", name.owner, "--", name.name)),
      name_(name) {}

std::string HubCache::commit() const {
  if (is_commit(name_.revision)) return name_.revision;
  const fs::path file = folder_ / "refs" / name_.revision;
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return "";
  std::string commit = trim(read_text(file, ExitCode::kCheckpoint));
  return is_commit(commit) ? commit : "";
}

fs::path HubCache::snapshot(const std::string& commit) const {
  return folder_ / "snapshots" / commit;
}

fs::path HubCache::blob(const std::string& hash) const {
  return folder_ / "blobs" / hash;
}

fs::path HubCache::lock(const std::string& hash) const {
  return root_ / ".locks" / folder_.filename() / (hash + ".lock");
}

bool HubCache::is_known_missing(const std::string& commit, const std::string& file) const {
  std::error_code error;
  return fs::exists(folder_ / ".no_exist" / commit / file, error);
}

void HubCache::note_commit(FileOps& ops, const std::string& commit) const {
  if (is_commit(name_.revision)) return;
  const fs::path file = folder_ / "refs" / name_.revision;
  ops.make_folder(file.parent_path());
  write_text(ops, file, commit);
}

void HubCache::note_missing(FileOps& ops, const std::string& commit,
                            const std::string& file) const {
  if (is_known_missing(commit, file)) return;
  const fs::path path = folder_ / ".no_exist" / commit / file;
  ops.make_folder(path.parent_path());
  write_text(ops, path, "");
}

void HubCache::link(FileOps& ops, const std::string& commit, const std::string& file,
                    const std::string& hash) const {
  const fs::path path = snapshot(commit) / file;
  std::error_code error;
  if (fs::exists(path, error)) return;
  ops.make_folder(path.parent_path());
  // Made beside and renamed: another process may be at the same link.
  const fs::path beside = temporary_beside(path);
  ops.symlink(blob(hash).lexically_relative(path.parent_path()), beside);
  ops.rename(beside, path);
}

BlobLock::BlobLock(const fs::path& path)
    : descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0)
    throw CheckpointError("cannot write ", path.string(), ": ", std::strerror(errno),
                          "; HF_HOME=FOLDER keeps the hub's cache elsewhere");
  constexpr auto kPause = std::chrono::milliseconds(50);
  for (bool is_said = false; ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0; is_said = true) {
    if (!is_said) log_info("waiting for another process, which fetches the same file");
    if (stop_signal() != 0) {
      ::close(descriptor_);
      throw Stopped("stopped while another process was fetching the same file");
    }
    std::this_thread::sleep_for(kPause);
  }
}

BlobLock::~BlobLock() {
  ::close(descriptor_);
}

}  // namespace vit22b
