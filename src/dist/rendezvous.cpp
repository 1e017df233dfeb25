#include "dist/rendezvous.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "core/error.h"

namespace vit22b {

struct StoreRendezvous::Store {
  Store(const char* address, const c10d::TCPStoreOptions& options) : store(address, options) {}
  c10d::TCPStore store;
};

StoreRendezvous::StoreRendezvous(int64_t rank, int64_t size, double deadline_s) {
  const char *address = std::getenv("MASTER_ADDR"), *port = std::getenv("MASTER_PORT");
  if (address == nullptr || port == nullptr)
    throw UsageError("MASTER_ADDR and MASTER_PORT are not set; torchrun sets them");
  // torchrun's agent may serve the store itself.
  const char* agent = std::getenv("TORCHELASTIC_USE_AGENT_STORE");
  const bool has_agent = agent != nullptr && std::strcmp(agent, "True") == 0;
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(std::atoi(port));
  options.isServer = rank == 0 && !has_agent;
  if (!has_agent) options.numWorkers = static_cast<size_t>(size);
  options.timeout = std::chrono::milliseconds(static_cast<int64_t>(1000 * deadline_s));
  try {
    store_ = std::make_unique<Store>(address, options);
  } catch (const std::exception& error) {
    throw LostRank("no store at ", address, ":", port, ": ", split(error.what(), '\n').front());
  }
}

StoreRendezvous::~StoreRendezvous() = default;

std::string StoreRendezvous::share(const std::string& key, bool is_first,
                                   const std::function<std::string()>& make) const {
  const std::string name = "vit22b/" + key;
  if (is_first) {
    std::string text = make();
    store_->store.set(name, std::vector<uint8_t>(text.begin(), text.end()));
    return text;
  }
  const std::vector<uint8_t> bytes = store_->store.get(name);
  return {bytes.begin(), bytes.end()};
}

}  // namespace vit22b
