#include "dist/rendezvous.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "core/error.h"
#include "support/files.h"

namespace vit22b {
namespace {

TEST(StoreRendezvous, GivesEveryRankWhatTheFirstMakes) {
  // A port that the system gives away is free for a moment.
  ::setenv("MASTER_ADDR", "127.0.0.1", 1);
  ::setenv("MASTER_PORT", "0", 1);
  const StoreRendezvous store(0, 1, 20);
  EXPECT_EQ(store.share("id", true, [] { return std::string("made"); }), "made");
  EXPECT_EQ(store.share("id", false, [] { return std::string("not asked"); }), "made");
  ::unsetenv("MASTER_ADDR");
  ::unsetenv("MASTER_PORT");
  EXPECT_EQ(test::error_of<UsageError>([] { StoreRendezvous(0, 1, 1); }),
            "MASTER_ADDR and MASTER_PORT are not set; torchrun sets them");
}

/// A port that is free for a moment.
std::string free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(socket, any, size), 0);
  EXPECT_EQ(::getsockname(socket, any, &size), 0);
  ::close(socket);
  return std::to_string(ntohs(address.sin_port));
}

/// Two ranks of one store.
void on_two_ranks(const std::function<void(StoreRendezvous&, int64_t rank)>& act) {
  ::setenv("MASTER_ADDR", "127.0.0.1", 1);
  ::setenv("MASTER_PORT", free_port().c_str(), 1);
  std::vector<std::jthread> threads;
  std::atomic<int> ended = 0;
  for (int64_t rank = 0; rank < 2; ++rank)
    threads.emplace_back([&, rank] {
      StoreRendezvous store(rank, 2, /*deadline_s=*/20);
      act(store, rank);
      for (++ended; ended < 2;) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    });
  threads.clear();
  ::unsetenv("MASTER_ADDR");
  ::unsetenv("MASTER_PORT");
}

TEST(StoreRendezvous, TextsOfTheFirstRankComeInOrderHoweverLongTheyTake) {
  on_two_ranks([](StoreRendezvous& store, int64_t rank) {
    for (const std::string text : {"one", "", "three"}) {
      if (rank == 0) std::this_thread::sleep_for(std::chrono::milliseconds(150));
      EXPECT_EQ(store.tell_all(rank == 0 ? text : "not asked"), text);
    }
    EXPECT_EQ(store.loss(), "");
  });
}

TEST(StoreRendezvous, ARankThatLeavesSaysSoAndEndsTheWaitForIt) {
  on_two_ranks([](StoreRendezvous& store, int64_t rank) {
    if (rank == 0) return store.leave("a full disk");
    EXPECT_EQ(test::error_of<LostRank>([&] { store.tell_all(""); }),
              "rank 1 waits for rank 0 in vain: rank 0 has left: a full disk");
    EXPECT_EQ(store.loss(), "rank 0 has left: a full disk");
  });
}

}  // namespace
}  // namespace vit22b
