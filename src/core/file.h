#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

  /// Makes a new file for writing and returns its descriptor; what has that name already is
  /// neither opened nor followed, but an error.
  virtual int create(const std::filesystem::path& path);
  virtual void write(int descriptor, std::span<const std::byte> bytes,
                     const std::filesystem::path& path);
  /// Opens what is there, to change parts of it or to write to it; returns its descriptor.
  virtual int open_to_change(const std::filesystem::path& path);
  /// Opens a file to add to its end, which is made where it is not there.
  virtual int open_to_append(const std::filesystem::path& path);
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
  /// Makes a folder and those above it, where they are not there.
  virtual void make_folder(const std::filesystem::path& path);
  /// Makes one folder; what has that name already is an error.
  virtual void make_new_folder(const std::filesystem::path& path);
  virtual void remove_all(const std::filesystem::path& path);
  virtual void symlink(const std::filesystem::path& target, const std::filesystem::path& link);

 protected:
  [[noreturn]] void fail(const char* operation, const std::filesystem::path& path, int error) const;

 private:
  ExitCode failure_code_;
};

/// A name beside `path` that nobody can guess and that says whose it is: .vit22b-, 32 hexadecimal
/// digits, .tmp. What is being written has such a name until it is whole.
std::filesystem::path temporary_beside(const std::filesystem::path& path);
/// Whether a name without folders is such a one.
bool is_temporary_name(std::string_view name);

/// Where a path leads when the links at its end are followed, whether or not anything is there.
///
/// throws  UsageError where links lead to each other
std::filesystem::path followed(const std::filesystem::path& path);

/// throws  UsageError where something has that name already
void check_is_free(const std::filesystem::path& path);

/// Whether this process may write there: into the folder, or, where it is not there yet, into the
/// nearest that is.
bool can_write_in(const std::filesystem::path& folder);

/// A file that appears whole or not at all: written beside under a temporary name, synced, renamed
/// by commit(). It keeps the mode of the file that it replaces; a link is followed and stays.
///
/// What is no file (a pipe, a device, a descriptor such as /dev/stdout or /dev/fd/3) is written to
/// as the bytes come, and never replaced.
class AtomicFile {
 public:
  /// throws  UsageError for a folder; the FileOps' error
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
  std::filesystem::path path_;       ///< as it was given, for messages
  std::filesystem::path target_;     ///< where it leads
  std::filesystem::path temporary_;  ///< empty when there is nothing to rename
  int descriptor_ = -1;
};

/// Writes a whole text file atomically.
void write_text(FileOps& ops, const std::filesystem::path& path, std::string_view text);

/// Adds to the end of a file, which is made where it is not there.
///
/// throws  the FileOps' error
void append_text(FileOps& ops, const std::filesystem::path& path, std::string_view text);

/// A regular file, open for reading. What is none (a pipe, a device, a folder) is refused at once,
/// without waiting for somebody to write into it.
class ReadableFile {
 public:
  /// throws  UserError with the code given, naming the path and what it is instead
  ReadableFile(std::filesystem::path path, ExitCode failure_code);
  ~ReadableFile();
  ReadableFile(const ReadableFile&) = delete;
  ReadableFile& operator=(const ReadableFile&) = delete;

  int descriptor() const { return descriptor_; }
  size_t size() const { return size_; }  ///< when it was opened
  /// Reads the whole file.
  ///
  /// limit_bytes  what such a file may have
  /// throws       also where it has become shorter since it was opened
  std::string text(size_t limit_bytes) const;
  std::vector<uint8_t> bytes(size_t limit_bytes) const;

 private:
  template <class Bytes>
  Bytes contents(size_t limit_bytes) const;

  std::filesystem::path path_;
  ExitCode failure_code_;
  int descriptor_;
  size_t size_ = 0;
};

/// Reads a whole regular file.
///
/// throws  UserError with the code given when it is missing, unreadable, no regular file or above
///         `limit_bytes`
std::string read_text(const std::filesystem::path& path, ExitCode failure_code,
                      size_t limit_bytes = size_t{1} << 30);

/// The same of what may as well be a pipe or a terminal, as the list in `--list <(find photos)`:
/// reads until its end.
std::string read_text_or_pipe(const std::filesystem::path& path, ExitCode failure_code,
                              size_t limit_bytes = size_t{1} << 30);

/// A regular file mapped for reading; empty files give an empty span. For checkpoints: to touch
/// what another process cut off meanwhile would end this one, so ask check_size() before.
class MappedFile {
 public:
  /// throws  UserError with the code given, naming the path and the system's reason
  MappedFile(const std::filesystem::path& path, ExitCode failure_code);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// throws  as the constructor, when the file has become shorter since it was mapped; one that
  ///         another has replaced stays as it was
  void check_size() const;
  /// What has been read so far stops counting as this process's memory; it is read anew where it
  /// is used again.
  void forget() const;

 private:
  std::filesystem::path path_;
  ExitCode failure_code_;
  uint64_t device_ = 0, inode_ = 0;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Holds a folder for one process: an advisory lock on FOLDER/.lock, freed by the system when the
/// process ends.
class FolderLock {
 public:
  /// Of a run folder.
  ///
  /// throws  UsageError naming the pid and host of the holder
  explicit FolderLock(const std::filesystem::path& folder);
  /// Waits until the holder is done, and says so once.
  ///
  /// should_stop  asked now and then; true ends the waiting with Stopped
  FolderLock(const std::filesystem::path& folder, const std::function<bool()>& should_stop);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  /// Whether the lock is this process's now.
  bool take();
  /// Who has it.
  std::string holder() const;
  /// Writes down who has it.
  void sign() const;

  std::filesystem::path folder_;
  int descriptor_;
};

}  // namespace vit22b
