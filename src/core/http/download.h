#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "core/file.h"
#include "core/http/range.h"

namespace vit22b {

/// How files are fetched.
struct DownloadOptions {
  Manners manners;
  int64_t connections = 4;
  int64_t part_bytes = int64_t{16} << 20;
  bool is_quiet = false;  ///< shows no progress
};

/// Fetches a file in parts, several at a time, into a file beside which a second one, with .parts
/// behind its name, says which parts are there: a download that was cut off goes on. Both have to
/// be held by one process (see HubCache::lock). Its bytes are checked against all that is known of
/// them; the parts' file is gone when it is whole.
///
/// into     the file; gone again where its bytes are not the right ones
/// throws   CheckpointError naming the file, the server's answer and what may be done; a FileOps'
///          error; Stopped at a signal
void download(FileOps& ops, const RemoteFile& file, const std::filesystem::path& into,
              const DownloadOptions& options);

}  // namespace vit22b
