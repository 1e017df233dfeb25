#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "core/file.h"
#include "core/http/polite_client.h"

namespace vit22b {

/// A file on a server, as is known before it is fetched.
struct RemoteFile {
  std::string url;
  std::string name;           ///< for people
  int64_t size_bytes = -1;    ///< -1 where nothing says it
  std::string sha256 = {};    ///< of its bytes; "" where nothing says it
  std::string git_sha1 = {};  ///< of git's blob of it; ""
};

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

/// What a server's refusal means, and what may be done.
std::string refusal_text(const HttpAnswer& answer, const RemoteFile& file);

}  // namespace vit22b
