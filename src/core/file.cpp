#include "core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vit22b {

namespace fs = std::filesystem;

void FileOps::fail(const char* operation, const fs::path& path, int error) const {
  const char* hint = "";
  if (error == ENOSPC || error == EDQUOT) hint = "; free some space or choose another --out";
  if (error == EACCES || error == EPERM || error == EROFS)
    hint = "; choose a folder that you may write to with --out";
  const bool is_temporary = is_temporary_name(path.filename().string());
  throw UserError(failure_code_, "cannot ", operation, " ", is_temporary ? "a file in " : "",
                  (is_temporary ? path.parent_path() : path).string(), ": ", std::strerror(error),
                  hint);
}

int FileOps::create(const fs::path& path) {
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (descriptor < 0) fail("create", path, errno);
  return descriptor;
}

void FileOps::write(int descriptor, std::span<const std::byte> bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write", path, errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

int FileOps::open_to_change(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) fail("open", path, errno);
  return descriptor;
}

int FileOps::open_to_append(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) fail("open", path, errno);
  return descriptor;
}

void FileOps::write_at(int descriptor, size_t offset, std::span<const std::byte> bytes,
                       const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write", path, errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<size_t>(written);
  }
}

void FileOps::sync(int descriptor, const fs::path& path) {
  if (::fsync(descriptor) != 0) fail("sync", path, errno);
}

void FileOps::close(int descriptor, const fs::path& path) {
  if (::close(descriptor) != 0) fail("close", path, errno);
}

void FileOps::sync_folder(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail("open", path, errno);
  const int result = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  if (result != 0 && error != EINVAL)
    fail("sync", path, error);  // EINVAL: a file system without folder sync
}

void FileOps::rename(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail("write", to, errno);
}

void FileOps::exchange(const fs::path& a, const fs::path& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) != 0)
    fail("exchange", a, errno);
}

void FileOps::link(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_hard_link(from, to, error);
  if (error) fs::copy_file(from, to, error);
  if (error) fail("write", to, error.value());
}

void FileOps::make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return;
  for (fs::path place = path; !place.empty() && place != place.parent_path();
       place = place.parent_path())
    if (std::error_code none; fs::is_symlink(place, none) && !fs::exists(place, none))
      throw UserError(failure_code_, place.string(), " is a link to ",
                      fs::read_symlink(place, none).string(),
                      ", which is not there; make that folder, or remove the link");
  fail("create folder", path, error.value());
}

void FileOps::make_new_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0777) != 0) fail("create folder", path, errno);
}

void FileOps::remove_all(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail("remove", path, error.value());
}

void FileOps::symlink(const fs::path& target, const fs::path& link) {
  if (::symlink(target.c_str(), link.c_str()) != 0) fail("link", link, errno);
}

}  // namespace vit22b
