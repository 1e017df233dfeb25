#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/byte_store.h"

namespace vit22b {

/// A whole number of up to 8 bytes, little-endian, somewhere in others.
uint64_t little_endian(std::string_view bytes, size_t at, size_t size);

/// Some bytes of a store, all of them.
///
/// what    of what they are, for messages
/// throws  CheckpointError where the store ends before
std::string read_range(const ByteStore& store, size_t offset, size_t count, std::string_view what);

}  // namespace vit22b
