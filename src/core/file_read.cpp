#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/file.h"

namespace vit22b {

namespace fs = std::filesystem;

namespace {

constexpr size_t kPipePiece = size_t{64} << 10;  // what Linux keeps of a pipe

[[noreturn]] void fail(ExitCode code, const char* operation, const fs::path& path, int error) {
  throw UserError(code, "cannot ", operation, " ", path.string(), ": ", std::strerror(error));
}

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

// Not to wait is for pipes: a regular file is read as ever.
int open_without_waiting(const fs::path& path, ExitCode code) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) fail(code, "open", path, errno);
  return descriptor;
}

struct stat status_of(int descriptor) {
  struct stat status {};
  ::fstat(descriptor, &status);
  return status;
}

struct Closing {
  int descriptor;
  ~Closing() { ::close(descriptor); }
};

/// Reads up to `size` bytes; fewer only at the end.
size_t read_some(int descriptor, void* out, size_t size, ExitCode code, const fs::path& path) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(descriptor, static_cast<char*>(out) + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(code, "read", path, errno);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

void check_limit(size_t size, size_t limit, ExitCode code, const fs::path& path) {
  if (size > limit)
    throw UserError(code, path.string(), " has ", human_bytes(static_cast<double>(size)),
                    ", more than the ", human_bytes(static_cast<double>(limit)),
                    " such a file may have");
}

[[noreturn]] void fail_cut(ExitCode code, const fs::path& path, size_t size, size_t now) {
  throw UserError(code, path.string(), " became shorter while it was read: ", now, " bytes of ",
                  size);
}

}  // namespace

ReadableFile::ReadableFile(fs::path path, ExitCode failure_code)
    : path_(std::move(path)),
      failure_code_(failure_code),
      descriptor_(open_without_waiting(path_, failure_code)) {
  const struct stat status = status_of(descriptor_);
  size_ = static_cast<size_t>(status.st_size);
  if (S_ISREG(status.st_mode)) return;
  ::close(descriptor_);
  throw UserError(failure_code, path_.string(), " is ", kind_of(status.st_mode),
                  ", not a regular file");
}

ReadableFile::~ReadableFile() {
  ::close(descriptor_);
}

template <class Bytes>
Bytes ReadableFile::contents(size_t limit_bytes) const {
  check_limit(size_, limit_bytes, failure_code_, path_);
  Bytes all(size_, typename Bytes::value_type{});
  const size_t got = read_some(descriptor_, all.data(), size_, failure_code_, path_);
  if (got < size_) fail_cut(failure_code_, path_, size_, got);
  return all;
}

std::string ReadableFile::text(size_t limit_bytes) const {
  return contents<std::string>(limit_bytes);
}

std::vector<uint8_t> ReadableFile::bytes(size_t limit_bytes) const {
  return contents<std::vector<uint8_t>>(limit_bytes);
}

std::string read_text(const fs::path& path, ExitCode failure_code, size_t limit_bytes) {
  return ReadableFile(path, failure_code).text(limit_bytes);
}

std::string read_text_or_pipe(const fs::path& path, ExitCode failure_code, size_t limit_bytes) {
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  if (type != fs::file_type::fifo && type != fs::file_type::character)
    return read_text(path, failure_code, limit_bytes);
  // A named pipe waits for its writer, as for any program that reads one.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) fail(failure_code, "open", path, errno);
  const Closing closing{descriptor};
  std::string all;
  for (size_t got = kPipePiece; got == kPipePiece;) {
    const size_t before = all.size();
    all.resize(before + kPipePiece);
    got = read_some(descriptor, all.data() + before, kPipePiece, failure_code, path);
    all.resize(before + got);
    check_limit(all.size(), limit_bytes, failure_code, path);
  }
  return all;
}

MappedFile::MappedFile(const fs::path& path, ExitCode failure_code)
    : path_(path), failure_code_(failure_code) {
  const ReadableFile file(path, failure_code);
  const struct stat status = status_of(file.descriptor());
  device_ = status.st_dev;
  inode_ = status.st_ino;
  size_ = file.size();
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (address == MAP_FAILED) fail(failure_code, "map", path, errno);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      failure_code_(other.failure_code_),
      device_(other.device_),
      inode_(other.inode_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::check_size() const {
  struct stat now {};
  if (::stat(path_.c_str(), &now) != 0 || now.st_dev != device_ || now.st_ino != inode_) return;
  const auto size = static_cast<size_t>(now.st_size);
  if (size < size_) fail_cut(failure_code_, path_, size_, size);
}

void MappedFile::forget() const {
  if (data_ != nullptr) ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

}  // namespace vit22b
