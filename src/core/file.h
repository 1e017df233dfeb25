#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"

namespace vit22b {

/// Every call that changes the disk, behind one seam: tests replace it to fail or die at any of
/// them.
///
/// Each call throws a UserError with the exit code given, naming the path, the operation and the
/// system's reason.
class FileOps {
 public:
  explicit FileOps(ExitCode failure_code = ExitCode::kUsage) : failure_code_(failure_code) {}
  virtual ~FileOps() = default;

  /// Opens a new file for writing, or empties an old one; returns its descriptor.
  virtual int create(const std::filesystem::path& path);
  virtual void write(int descriptor, std::span<const std::byte> bytes,
                     const std::filesystem::path& path);
  /// Opens a file that is there, to change parts of it; returns its descriptor.
  virtual int open_to_change(const std::filesystem::path& path);
  /// Writes at an offset; several processes may write other parts at the same time.
  virtual void write_at(int descriptor, size_t offset, std::span<const std::byte> bytes,
                        const std::filesystem::path& path);
  /// fsync of a file.
  virtual void sync(int descriptor, const std::filesystem::path& path);
  virtual void close(int descriptor, const std::filesystem::path& path);
  /// fsync of a folder, so that names made in it survive a crash.
  virtual void sync_folder(const std::filesystem::path& path);
  virtual void rename(const std::filesystem::path& from, const std::filesystem::path& to);
  /// Swaps two names in one step.
  virtual void exchange(const std::filesystem::path& a, const std::filesystem::path& b);
  /// A second name for a file, or a copy where the file system gives none.
  virtual void link(const std::filesystem::path& from, const std::filesystem::path& to);
  virtual void make_folder(const std::filesystem::path& path);
  virtual void remove_all(const std::filesystem::path& path);
  virtual void symlink(const std::filesystem::path& target, const std::filesystem::path& link);

 protected:
  [[noreturn]] void fail(const char* operation, const std::filesystem::path& path, int error) const;

 private:
  ExitCode failure_code_;
};

/// A file that appears whole or not at all: written beside as NAME.tmp, synced, renamed by
/// commit().
class AtomicFile {
 public:
  AtomicFile(FileOps& ops, std::filesystem::path path);
  /// Removes the temporary file when commit() was not reached.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  FileOps& ops_;
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_;
};

/// Writes a whole text file atomically.
void write_text(FileOps& ops, const std::filesystem::path& path, std::string_view text);

/// Adds to the end of a file, which is made where it is not there.
///
/// throws  the FileOps' error
void append_text(FileOps& ops, const std::filesystem::path& path, std::string_view text);

/// Reads a whole file.
///
/// throws  UserError with the code given when it is missing, unreadable or above `limit_bytes`
std::string read_text(const std::filesystem::path& path, ExitCode failure_code,
                      size_t limit_bytes = size_t{1} << 30);

/// A file mapped for reading; empty files give an empty span.
class MappedFile {
 public:
  /// throws  UserError with the code given, naming the path and the system's reason
  MappedFile(const std::filesystem::path& path, ExitCode failure_code);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// What has been read so far stops counting as this process's memory; it is read anew where it
  /// is used again.
  void forget() const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Holds a run folder for one process: an advisory lock on FOLDER/.lock, freed by the system when
/// the process ends.
class FolderLock {
 public:
  /// throws  UsageError naming the pid and host of the holder
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace vit22b
