#pragma once
#include <memory>
#include <vector>

#include "dist/communicator.h"
#include "dist/transport.h"

namespace vit22b {

/// Some ranks of a transport, and how long they wait for each other: for one that is silent, or,
/// where the transport does not watch its ranks, for any.
struct GroupOptions {
  std::vector<int64_t> members;  ///< the transport's ranks, by rank in the group
  int channel = 0;               ///< of this group alone; the next number is the group's too
  double deadline_s = 600;
};

/// A communicator of CPU ranks over a transport: collectives in dist/collectives.h, run in a thread
/// of their own where they were started without waiting, else in the caller's.
std::unique_ptr<Communicator> make_group(std::shared_ptr<Transport> transport,
                                         const GroupOptions& options);

}  // namespace vit22b
