#pragma once
#include <memory>

#include "dist/transport.h"

namespace vit22b {

/// A link slower than this machine's: for measuring what hides behind computation.
struct LinkSpeed {
  double bytes_per_second = 0;
  double latency_s = 0;
};

/// Another transport whose messages leave only when a link of that speed would have carried them;
/// each pair of sender and receiver has its own link, which carries one message at a time.
std::shared_ptr<Transport> make_throttled(std::shared_ptr<Transport> inner, LinkSpeed speed);

}  // namespace vit22b
