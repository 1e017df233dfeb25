#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "core/error.h"

namespace vit22b {

/// Bytes that are read by ranges, wherever they lie: a file's, or what stands for one.
class ByteStore {
 public:
  virtual ~ByteStore() = default;
  /// Where they lie, for people.
  virtual const std::string& place() const = 0;
  /// How many there were when it was opened.
  virtual size_t size() const = 0;
  /// Fills `out` with the bytes from an offset on; fewer only where they end. Several threads may
  /// read at the same time.
  ///
  /// returns  how many it has read
  /// throws   UserError naming the place and the system's reason
  virtual size_t read(size_t offset, std::span<std::byte> out) const = 0;
  /// Says that some will not be read again soon: the system's cache may let them go, where it had
  /// not most of them before.
  virtual void release(size_t /*offset*/, size_t /*size*/) const {}
  /// Whether they are still those that were opened, as far as size and time of change tell.
  virtual bool is_unchanged() const = 0;
};

/// A regular file's bytes.
///
/// throws  UserError with the code given, as ReadableFile
std::unique_ptr<ByteStore> open_file_bytes(const std::filesystem::path& path,
                                           ExitCode failure_code);

}  // namespace vit22b
