#pragma once
#include <memory>
#include <string>

#include "checkpoint/container/zip_directory.h"

namespace vit22b {

/// The bytes of a deflated member of a zip archive. They are unpacked as they are read, forward
/// from where the last read has ended, and from the beginning for what lies before: none are kept.
///
/// archive  has to live as long
/// throws   CheckpointError, also from read, where the packed bytes are damaged
std::unique_ptr<ByteStore> inflated_bytes(const ByteStore& archive, const ZipMember& member,
                                          std::string name);

}  // namespace vit22b
