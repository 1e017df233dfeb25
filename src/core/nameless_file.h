#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace vit22b {

/// Scratch on a disk that no name leads to, so that nothing of it stays however the process ends.
class NamelessFile {
 public:
  /// what    it is for, in messages: "block_inputs=file"
  /// remedy  what to do where the disk is full: "use block_inputs=device"
  /// throws  UsageError naming a folder in which no file can be made
  NamelessFile(const std::filesystem::path& folder, std::string what, std::string remedy);
  ~NamelessFile();
  NamelessFile(const NamelessFile&) = delete;
  NamelessFile& operator=(const NamelessFile&) = delete;

  /// throws  UsageError when the disk has no room
  void write(int64_t offset, std::span<const std::byte> bytes);
  /// Fills `out` with what was written there.
  ///
  /// throws  UsageError when it cannot be read again
  void read(int64_t offset, std::span<std::byte> out) const;
  /// Says what will be read soon.
  void prefetch(int64_t offset, int64_t size_bytes) const;

 private:
  std::filesystem::path folder_;
  std::string what_, remedy_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

}  // namespace vit22b
