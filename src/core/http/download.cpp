#include "core/http/download.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>

#include "core/byte_store.h"
#include "core/error.h"
#include "core/http/part_map.h"
#include "core/log.h"
#include "core/printable.h"
#include "core/progress.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

/// What all connections of a download share.
struct Shared {
  FileOps& ops;
  const RemoteFile& file;
  const fs::path& path;
  int descriptor = -1;
  std::atomic<int64_t> received = 0;        ///< bytes of the file that are there
  std::atomic<bool> is_over = false;        ///< a connection has failed for good
  std::atomic<bool> has_no_ranges = false;  ///< the server gives whole files alone
};

/// Fetches a range into its place of the file.
RangeEnd fetch_into(PoliteClient& client, Shared& shared, const ByteRange& range) {
  int64_t done = 0;
  const PutBytes put = [&](int64_t at, std::span<const std::byte> bytes) {
    shared.ops.write_at(shared.descriptor, static_cast<size_t>(at), bytes, shared.path);
    const int64_t now = at + static_cast<int64_t>(bytes.size()) - range.first;
    shared.received += now - done;
    done = now;
  };
  return fetch_range(client, shared.file, range, put, [&] { return shared.is_over.load(); });
}

/// Fetches all that is missing, with several connections.
class Fetch {
 public:
  Fetch(Shared& shared, PartMap& map, const DownloadOptions& options)
      : shared_(shared), map_(map), options_(options) {}

  void run() {
    std::vector<std::jthread> threads;
    const int64_t count = std::clamp<int64_t>(options_.connections, 1, 16);
    for (int64_t i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
    constexpr int64_t kMiB = int64_t{1} << 20;
    Progress progress(shown_name(shared_.file.name) + ", MiB",
                      std::max<int64_t>(1, shared_.file.size_bytes / kMiB), options_.is_quiet);
    while (running_ > 0 || num_started_ < count) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      progress.update(shared_.received / kMiB);
    }
    threads.clear();
    if (shared_.has_no_ranges) return;
    if (failure_ != nullptr) std::rethrow_exception(failure_);
  }

 private:
  void work() {
    ++running_;
    ++num_started_;
    try {
      PoliteClient client(options_.manners);
      for (int64_t part = map_.take(); part >= 0 && !shared_.is_over; part = map_.take()) {
        const int64_t first = part * options_.part_bytes;
        const RangeEnd end =
            fetch_into(client, shared_,
                       {first, std::min(first + options_.part_bytes, shared_.file.size_bytes)});
        if (end == RangeEnd::kWhole) map_.note_done(part);
        if (end == RangeEnd::kNoRanges) shared_.has_no_ranges = shared_.is_over = true;
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (failure_ == nullptr) failure_ = std::current_exception();
      shared_.is_over = true;
    }
    --running_;
  }

  Shared& shared_;
  PartMap& map_;
  const DownloadOptions& options_;
  std::atomic<int64_t> running_ = 0, num_started_ = 0;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

fs::path parts_beside(const fs::path& path) {
  return path.string() + ".parts";
}

/// The hash of a file as its server names it.
std::string digest_of(const fs::path& path, const RemoteFile& file) {
  const bool is_git = file.sha256.empty();
  const auto digest = http_module().make_digest(is_git ? "sha1" : "sha256");
  const auto bytes = open_file_bytes(path, ExitCode::kCheckpoint);
  if (is_git) {
    std::string head = concat("blob ", bytes->size());
    head.push_back('\0');
    digest->add(std::as_bytes(std::span(head)));
  }
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (size_t at = 0; at < bytes->size();) {
    const size_t count = bytes->read(at, buffer);
    if (count == 0) break;
    digest->add(std::span(buffer).first(count));
    at += count;
  }
  return digest->hex();
}

// Whole or not, the list of parts has done its work then.
void check_bytes(FileOps& ops, const fs::path& path, const RemoteFile& file) {
  const auto size = static_cast<int64_t>(fs::file_size(path));
  const std::string want = file.sha256.empty() ? file.git_sha1 : file.sha256;
  std::string trouble;
  if (file.size_bytes >= 0 && size != file.size_bytes)
    trouble = concat("has ", size, " bytes, and ", file.size_bytes, " were announced");
  else if (!want.empty())
    if (const std::string got = digest_of(path, file); got != want)
      trouble = concat("has the hash ", got, ", and ", printable(want), " was announced");
  ops.remove_all(parts_beside(path));
  if (trouble.empty()) return;
  ops.remove_all(path);
  throw CheckpointError(file.name, " as it came ", trouble,
                        ": it was damaged or changed on the way, and is not kept; try again");
}

void check_room(const fs::path& folder, const RemoteFile& file, int64_t here) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || static_cast<int64_t>(space.available) >= file.size_bytes - here) return;
  throw CheckpointError(file.name, " has ", human_bytes(static_cast<double>(file.size_bytes)),
                        ", and ", folder.string(), " has room for ",
                        human_bytes(static_cast<double>(space.available)),
                        "; HF_HOME=FOLDER keeps the cache on another disk");
}

/// Closes what is not closed yet when something is thrown.
class Descriptor {
 public:
  Descriptor(FileOps& ops, const fs::path& path, int descriptor)
      : ops_(ops), path_(path), descriptor_(descriptor) {}
  ~Descriptor() {
    try {
      ops_.close(descriptor_, path_);
    } catch (const UserError&) {
      // The file's bytes are checked by reading them again.
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }

 private:
  FileOps& ops_;
  const fs::path& path_;
  int descriptor_;
};

void fetch_in_parts(FileOps& ops, const RemoteFile& file, const fs::path& into,
                    const DownloadOptions& options) {
  const int64_t parts =
      std::max<int64_t>(1, (file.size_bytes + options.part_bytes - 1) / options.part_bytes);
  const fs::path map_path = parts_beside(into);
  const std::string identity =
      concat(file.size_bytes, " ", options.part_bytes, " ", file.sha256, file.git_sha1);
  std::error_code error;
  const bool is_there = fs::is_regular_file(fs::symlink_status(into, error));
  if (!is_there) ops.remove_all(map_path);
  PartMap map(ops, map_path, identity, parts);
  if (is_there && !map.is_resumed()) ops.remove_all(into);
  const int64_t here = std::min(file.size_bytes, map.num_done() * options.part_bytes);
  check_room(into.parent_path(), file, here);
  if (here > 0)
    log_info(concat(file.name, ": going on at ", human_bytes(static_cast<double>(here)), " of ",
                    human_bytes(static_cast<double>(file.size_bytes))));
  const Descriptor descriptor(
      ops, into, map.is_resumed() && is_there ? ops.open_to_change(into) : ops.create(into));
  Shared shared{ops, file, into, descriptor.get()};
  shared.received = here;
  if (file.size_bytes > 0) Fetch(shared, map, options).run();
  if (shared.has_no_ranges) {
    shared.is_over = false;
    shared.received = 0;
    PoliteClient client(options.manners);
    fetch_into(client, shared, {0, file.size_bytes});
  }
  ops.sync(descriptor.get(), into);
}

// Where nothing says how large it is: one answer, as long as it is.
void fetch_as_it_comes(FileOps& ops, const RemoteFile& file, const fs::path& into,
                       const DownloadOptions& options) {
  ops.remove_all(into);
  const Descriptor descriptor(ops, into, ops.create(into));
  Shared shared{ops, file, into, descriptor.get()};
  PoliteClient client(options.manners);
  fetch_into(client, shared, {});
  ops.sync(descriptor.get(), into);
}

}  // namespace

void download(FileOps& ops, const RemoteFile& file, const fs::path& into,
              const DownloadOptions& options) {
  if (file.size_bytes >= 0)
    fetch_in_parts(ops, file, into, options);
  else
    fetch_as_it_comes(ops, file, into, options);
  check_bytes(ops, into, file);
}

}  // namespace vit22b
