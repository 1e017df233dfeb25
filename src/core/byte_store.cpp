#include "core/byte_store.h"

#include <fcntl.h>
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
        as_opened_(state()) {}

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

  std::string place_;
  ExitCode failure_code_;
  ReadableFile file_;
  std::string as_opened_;
};

}  // namespace

std::unique_ptr<ByteStore> open_file_bytes(const std::filesystem::path& path,
                                           ExitCode failure_code) {
  return std::make_unique<FileBytes>(path, failure_code);
}

}  // namespace vit22b
