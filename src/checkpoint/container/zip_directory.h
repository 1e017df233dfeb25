#pragma once
#include <map>
#include <string>

#include "core/byte_store.h"

namespace vit22b {

/// A file in a zip archive.
struct ZipMember {
  size_t begin = 0;        ///< of its bytes in the archive
  size_t packed_size = 0;  ///< how many they are there
  size_t size = 0;         ///< and how many unpacked
  bool is_deflated = false;
};

/// The files of a zip archive by their names, as its directory and their own headers say alike.
///
/// Archives of more than 4 GiB (zip64) are read. Archives are hostile: a directory of at most
/// 256 MiB that ends where the archive's end begins, members in front of it, no name twice, no more
/// bytes than deflate can pack. CRCs are not looked at: members are read by ranges.
///
/// throws  CheckpointError naming the archive, the member and what is wrong: cut short, encrypted,
///         in several parts, packed by other than deflate
std::map<std::string, ZipMember> read_zip_directory(const ByteStore& archive);

}  // namespace vit22b
