#include "core/byte_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/file.h"

namespace vit22b {
namespace {

class FileBytes : public ByteStore {
 public:
  FileBytes(const std::filesystem::path& path, ExitCode failure_code)
      : place_(path.string()),
        failure_code_(failure_code),
        file_(path, failure_code),
        as_opened_(state()),
        is_others_(is_mostly_cached()) {}

  const std::string& place() const override { return place_; }
  size_t size() const override { return file_.size(); }

  size_t read(size_t offset, std::span<std::byte> out) const override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = ::pread(file_.descriptor(), out.data() + done, out.size() - done,
                                  static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0)
        throw UserError(failure_code_, "cannot read ", place_, ": ", std::strerror(errno));
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  // Only a hint: where it is refused, the bytes stay.
  void release(size_t offset, size_t size) const override {
    if (is_others_) return;
    ::posix_fadvise(file_.descriptor(), static_cast<off_t>(offset), static_cast<off_t>(size),
                    POSIX_FADV_DONTNEED);
  }

  bool is_unchanged() const override { return state() == as_opened_; }

 private:
  std::string state() const {
    struct stat status {};
    ::fstat(file_.descriptor(), &status);
    return concat(status.st_size, " bytes of ", status.st_mtim.tv_sec, ".", status.st_mtim.tv_nsec);
  }

  // Of some pages, spread over a large file; who may not write it is told that all are.
  bool is_mostly_cached() const {
    constexpr size_t kLarge = 64 << 20, kProbes = 64;
    if (size() < kLarge) return true;
    void* const map = ::mmap(nullptr, size(), PROT_READ, MAP_SHARED, file_.descriptor(), 0);
    if (map == MAP_FAILED) return true;
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    size_t cached = 0;
    for (size_t i = 0; i < kProbes; ++i) {
      unsigned char is_there = 1;
      const size_t at = size() / kProbes * i / page * page;
      if (::mincore(static_cast<std::byte*>(map) + at, page, &is_there) != 0) is_there = 1;
      cached += is_there & 1;
    }
    ::munmap(map, size());
    return cached > kProbes / 2;
  }

  std::string place_;
  ExitCode failure_code_;
  ReadableFile file_;
  std::string as_opened_;
  bool is_others_;  ///< what the system's cache had of it before is not ours to let go
};

}  // namespace

std::unique_ptr<ByteStore> open_file_bytes(const std::filesystem::path& path,
                                           ExitCode failure_code) {
  return std::make_unique<FileBytes>(path, failure_code);
}

}  // namespace vit22b
