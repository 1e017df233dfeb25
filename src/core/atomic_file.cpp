#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "core/file.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = ".vit22b-", kEnding = ".tmp";
constexpr size_t kRandomBytes = 16;
constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string random_digits() {
  unsigned char bytes[kRandomBytes];
  VIT22B_CHECK(::getrandom(bytes, sizeof bytes, 0) == static_cast<ssize_t>(sizeof bytes),
               "the system gives no random bytes");
  std::string digits;
  for (const unsigned char byte : bytes) {
    digits += kHexDigits[byte >> 4];
    digits += kHexDigits[byte & 15];
  }
  return digits;
}

/// The folder that a file's name is in, never empty.
fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// One of this process's open descriptors, where a path's folder is /dev/fd or /proc/self/fd.
std::optional<int> descriptor_named(const fs::path& path) {
  std::error_code error;
  const std::string folder = fs::canonical(folder_of(path), error).string();
  if (error || !folder.starts_with(concat("/proc/", ::getpid(), "/")) || !folder.ends_with("/fd"))
    return std::nullopt;
  const std::string name = path.filename().string();
  int number = -1;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (failure != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return number;
}

/// Where a path leads; a descriptor's link is not followed, as it may lead to no name.
fs::path last_name(fs::path path) {
  constexpr int kMostLinks = 40;  // as Linux has it
  std::error_code error;
  for (int i = 0; i < kMostLinks; ++i) {
    if (descriptor_named(path) || !fs::is_symlink(path, error)) return path;
    const fs::path target = fs::read_symlink(path, error);
    path = target.is_absolute() ? target : folder_of(path) / target;
  }
  throw UsageError(path.string(), ": too many links lead to each other");
}

}  // namespace

fs::path temporary_beside(const fs::path& path) {
  return folder_of(path) / concat(kMark, random_digits(), kEnding);
}

bool is_temporary_name(std::string_view name) {
  if (name.size() != kMark.size() + 2 * kRandomBytes + kEnding.size() || !name.starts_with(kMark) ||
      !name.ends_with(kEnding))
    return false;
  return name.substr(kMark.size(), 2 * kRandomBytes).find_first_not_of(kHexDigits) ==
         std::string_view::npos;
}

fs::path followed(const fs::path& path) {
  return last_name(path);
}

void check_is_free(const fs::path& path) {
  if (fs::exists(fs::symlink_status(path)))
    throw UsageError(path.string(), " is there already; choose another name, or remove it");
}

bool can_write_in(const fs::path& folder) {
  fs::path there = fs::absolute(folder);
  std::error_code error;
  while (there.has_relative_path() && !fs::exists(there, error)) there = there.parent_path();
  return ::faccessat(AT_FDCWD, there.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
}

AtomicFile::AtomicFile(FileOps& ops, fs::path path)
    : ops_(ops), path_(std::move(path)), target_(last_name(path_)) {
  if (const auto number = descriptor_named(target_)) {
    descriptor_ = ::fcntl(*number, F_DUPFD_CLOEXEC, 0);
    if (descriptor_ < 0) throw UsageError("cannot write ", path_.string(), ": it is not open");
    return;
  }
  struct stat status {};
  // The path as it was given: the system may forbid to follow a link of another user's.
  const bool is_there = ::stat(path_.c_str(), &status) == 0;
  if (!is_there && errno != ENOENT)
    throw UsageError("cannot write ", path_.string(), ": ", std::strerror(errno));
  if (is_there && S_ISDIR(status.st_mode))
    throw UsageError("cannot write ", path_.string(), ": it is a folder; give a file's name");
  if (is_there && !S_ISREG(status.st_mode)) {
    descriptor_ = ops_.open_to_change(target_);
    return;
  }
  if (is_there && ::faccessat(AT_FDCWD, target_.c_str(), W_OK, AT_EACCESS) != 0)
    throw UsageError("cannot write ", path_.string(), ": ", std::strerror(errno));
  const fs::path beside = temporary_beside(target_);
  descriptor_ = ops_.create(beside);
  temporary_ = beside;
  if (is_there) ::fchmod(descriptor_, status.st_mode & 0777);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  ops_.write(descriptor_, bytes, path_);
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::commit() {
  if (!temporary_.empty()) ops_.sync(descriptor_, path_);
  ops_.close(std::exchange(descriptor_, -1), path_);
  if (temporary_.empty()) return;
  ops_.rename(temporary_, target_);
  temporary_.clear();
}

void write_text(FileOps& ops, const fs::path& path, std::string_view text) {
  AtomicFile file(ops, path);
  file.write(text);
  file.commit();
}

void append_text(FileOps& ops, const fs::path& path, std::string_view text) {
  const int descriptor = ops.open_to_append(path);
  try {
    ops.write(descriptor, std::as_bytes(std::span(text)), path);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  ops.close(descriptor, path);
}

}  // namespace vit22b
