#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>

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

/// Bytes of a file: from `first` up to `end`; `end` -1 for all that come.
struct ByteRange {
  int64_t first = 0, end = -1;
};

/// Takes bytes of a file in their order, and where they begin in it. Those of a range that has to
/// be begun again come again.
using PutBytes = std::function<void(int64_t at, std::span<const std::byte> bytes)>;

enum class RangeEnd {
  kWhole,     ///< all of it has come
  kNoRanges,  ///< the server gives whole files alone, and the range is none's beginning
  kGivenUp
};

/// Fetches a range, going on where a try broke off as long as tries bring anything.
///
/// is_given_up  whether nobody wants it any more
/// throws       CheckpointError naming the file, the server's answer and what may be done; Stopped
///              at a signal; what `put` throws
RangeEnd fetch_range(
    PoliteClient& client, const RemoteFile& file, const ByteRange& range, const PutBytes& put,
    const std::function<bool()>& is_given_up = [] { return false; });

/// What a server's refusal means, and what may be done.
std::string refusal_text(const HttpAnswer& answer, const RemoteFile& file);

}  // namespace vit22b
