#pragma once
#include <cstdint>
#include <string>

#include "core/byte_store.h"

namespace vit22b {

/// Reads a part of a store from its beginning to its end, in small steps.
class PickleBytes {
 public:
  PickleBytes(const ByteStore& store, size_t begin, size_t end)
      : store_(store), at_(begin), end_(end) {}

  const ByteStore& store() const { return store_; }
  const std::string& place() const { return store_.place(); }
  /// Of the next byte, in the store.
  size_t position() const { return at_; }
  size_t left() const { return end_ - at_; }

  /// A whole number of up to 8 bytes, little-endian.
  ///
  /// throws  CheckpointError, as the others, where the bytes end before
  uint64_t number(size_t size);
  std::string text(size_t size);
  /// Up to the next line feed, which is passed over.
  std::string line();

 private:
  const ByteStore& store_;
  size_t at_, end_;
  std::string window_;  ///< bytes that have been read
  size_t window_begin_ = 0;
};

}  // namespace vit22b
