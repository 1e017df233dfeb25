#pragma once
#include <memory>
#include <string>

#include "core/byte_store.h"
#include "core/http/range.h"

namespace vit22b {

/// The bytes of a file on a server, by ranges: each read is one request, tried again as a download
/// is. Nothing is kept.
///
/// file    with its size
/// throws  CheckpointError where the server refuses, or gives no ranges
std::unique_ptr<ByteStore> open_remote_bytes(const RemoteFile& file, const Manners& manners);

}  // namespace vit22b
