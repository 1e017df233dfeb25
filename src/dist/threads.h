#pragma once
#include <functional>
#include <memory>

#include "dist/transport.h"

namespace vit22b {

/// Where ranks that are threads of one process meet.
class ThreadHub;
std::shared_ptr<ThreadHub> make_thread_hub(int64_t size);

/// The transport of one of the hub's ranks.
std::shared_ptr<Transport> join_threads(const std::shared_ptr<ThreadHub>& hub, int64_t rank);

/// Runs `act` as ranks 0 to size - 1 in threads of their own and waits for all. The first failure
/// that is not a consequence of another rank's is thrown.
void run_as_threads(int64_t size,
                    const std::function<void(const std::shared_ptr<Transport>&)>& act);

}  // namespace vit22b
