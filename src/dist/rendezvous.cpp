#include "dist/rendezvous.h"

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "core/error.h"

namespace vit22b {

namespace {

constexpr const char* kLeft = "left";
constexpr auto kLookEvery = std::chrono::milliseconds(300);
constexpr auto kLongestPause = std::chrono::milliseconds(100);
// Texts that stay in the store: no rank is that many behind, since ranks meet between them.
constexpr int64_t kKeptTexts = 1000;

// torchrun's store outlives a start of the ranks; the next start's texts have names of their own.
std::string key_of(const std::string& name) {
  const char* start = std::getenv("TORCHELASTIC_RESTART_COUNT");
  return concat("vit22b/", start != nullptr ? start : "0", "/", name);
}

std::vector<uint8_t> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

}  // namespace

struct StoreRendezvous::Store {
  Store(const char* address, const c10d::TCPStoreOptions& options) : store(address, options) {}
  std::string get(const std::string& key) {
    const std::vector<uint8_t> bytes = store.get(key);
    return {bytes.begin(), bytes.end()};
  }

  c10d::TCPStore store;
  std::mutex mutex;
  std::condition_variable changed;
  std::string loss;
  bool is_stopping = false;
  std::jthread watcher;  // last: it uses all of the above
};

StoreRendezvous::StoreRendezvous(int64_t rank, int64_t size, double deadline_s) : rank_(rank) {
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
  store_->watcher = std::jthread([this] { watch(); });
}

StoreRendezvous::~StoreRendezvous() {
  {
    const std::lock_guard lock(store_->mutex);
    store_->is_stopping = true;
  }
  store_->changed.notify_all();
}

// Looks whether a rank has left, until one has or the store has gone, as it does at a run's end.
void StoreRendezvous::watch() {
  std::unique_lock lock(store_->mutex);
  while (!store_->changed.wait_for(lock, kLookEvery, [this] { return store_->is_stopping; })) {
    lock.unlock();
    std::string loss;
    try {
      if (store_->store.check({key_of(kLeft)})) loss = store_->get(key_of(kLeft));
    } catch (const std::exception&) {
      return;
    }
    lock.lock();
    store_->loss = loss;
    if (!loss.empty()) return;
  }
}

void StoreRendezvous::leave(const std::string& reason) const {
  try {
    store_->store.set(key_of(kLeft), bytes_of(concat("rank ", rank_, " has left: ", reason)));
  } catch (const std::exception&) {  // nobody is there to hear it
  }
}

std::string StoreRendezvous::loss() const {
  const std::lock_guard lock(store_->mutex);
  return store_->loss;
}

std::string StoreRendezvous::tell_all(const std::string& text) {
  const auto key = [](int64_t number) { return key_of(concat("told/", number)); };
  const int64_t number = num_told_++;
  try {
    if (rank_ == 0) {
      store_->store.set(key(number), bytes_of(text));
      if (number >= kKeptTexts) store_->store.deleteKey(key(number - kKeptTexts));
      return text;
    }
    // Asked for again and again: the store's own wait has a deadline, and keeps the watcher out.
    for (auto pause = std::chrono::milliseconds(1); !store_->store.check({key(number)});
         pause = std::min<std::chrono::milliseconds>(2 * pause, kLongestPause)) {
      if (const std::string lost = loss(); !lost.empty())
        throw LostRank("rank ", rank_, " waits for rank 0 in vain: ", lost);
      std::this_thread::sleep_for(pause);
    }
    return store_->get(key(number));
  } catch (const LostRank&) {
    throw;
  } catch (const std::exception& error) {
    throw LostRank("rank ", rank_,
                   ": torchrun's store does not answer: ", split(error.what(), '\n').front());
  }
}

std::string StoreRendezvous::share(const std::string& key, bool is_first,
                                   const std::function<std::string()>& make) const {
  const std::string name = key_of(key);
  if (is_first) {
    std::string text = make();
    store_->store.set(name, bytes_of(text));
    return text;
  }
  return store_->get(name);
}

}  // namespace vit22b
