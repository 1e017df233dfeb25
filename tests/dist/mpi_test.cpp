#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <thread>

#include "dist/mesh.h"
#include "dist/transport.h"
#include "support/program.h"

// The transport over MPI. Each test starts itself again as two ranks under mpirun, where it acts.
namespace vit22b {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class Mpi : public testing::Test {
 protected:
  static bool is_rank() { return std::getenv("OMPI_COMM_WORLD_RANK") != nullptr; }
  static bool is_first() { return std::getenv("OMPI_COMM_WORLD_RANK")[0] == '0'; }

  // Runs this test as two ranks; `before` stands in front of the program's name.
  static void start_ranks(const std::string& before = "") {
    const test::Ended ended = test::shell(
        "timeout 60 mpirun --allow-run-as-root --oversubscribe --bind-to none "
        "--mca mpi_yield_when_idle 1 --mca btl_vader_single_copy_mechanism none -n 2 " +
        before + " " + std::filesystem::read_symlink("/proc/self/exe").string() +
        " --gtest_color=no --gtest_filter=" +
        testing::UnitTest::GetInstance()->current_test_info()->test_suite_name() + "." +
        testing::UnitTest::GetInstance()->current_test_info()->name());
    size_t num_passed = 0;
    const std::string passed = "[  PASSED  ] 1 test.";
    for (size_t at = ended.out.find(passed); at != std::string::npos;
         at = ended.out.find(passed, at + 1))
      ++num_passed;
    EXPECT_EQ(num_passed, 2U) << ended.out << ended.err;
  }

  static std::unique_ptr<Transport> join(double deadline_s) {
    // The module lies beside the program, not beside its tests.
    const std::filesystem::path module =
        std::filesystem::path(test::program()).parent_path() / "libvit22b_mpi.so";
    void* const handle = dlopen(module.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (handle == nullptr) throw std::runtime_error(dlerror());
    const auto join = reinterpret_cast<JoinTransport>(dlsym(handle, kJoinTransportSymbol));
    std::string failure;
    std::unique_ptr<Transport> transport(join(deadline_s, failure));
    if (transport == nullptr) throw std::runtime_error(failure);
    return transport;
  }
};

TEST_F(Mpi, AMessageOfAnotherSizeThanItsReceiversIsAnError) {
  if (!is_rank()) return start_ranks();
  const std::unique_ptr<Transport> ranks = join(30);
  std::vector<char> data(100);
  if (is_first()) {
    for (const size_t bytes : {60, 100, 60}) ranks->send(1, 0, data.data(), bytes)->wait();
  } else {
    const auto failure_of = [&](size_t bytes) {
      const RequestPtr request = ranks->recv(0, 0, data.data(), bytes);
      request->wait();
      return request->failure();
    };
    EXPECT_EQ(failure_of(100), "a message of 60 bytes met a receiver of 100");
    EXPECT_EQ(failure_of(60), "a longer message met a receiver of 60 bytes");
    EXPECT_EQ(failure_of(60), "");
  }
}

// A rank with a short deadline sends more beats than one with a long deadline looks for.
TEST_F(Mpi, AFarewellIsHeardAtOnceHoweverManyBeatsCameBefore) {
  if (!is_rank()) return start_ranks();
  const std::unique_ptr<Transport> ranks = join(is_first() ? 0.5 : 60);
  std::promise<std::string> told;
  ranks->when_lost([&](const std::string& text) { told.set_value(text); });
  std::this_thread::sleep_for(2s);
  if (is_first()) return ranks->leave("a test");
  std::future<std::string> text = told.get_future();
  // Sent after two seconds on the other's clock; of the forty beats ten would have been taken.
  ASSERT_EQ(text.wait_for(3s), std::future_status::ready);
  const std::string why = text.get();
  EXPECT_NE(why.find("has left: a test"), std::string::npos) << why;
}

TEST_F(Mpi, WhatOneRankDoesForAllMayTakeLongerThanTheDeadline) {
  if (!is_rank()) return start_ranks();
  const std::shared_ptr<Transport> ranks = join(0.75);
  const Mesh mesh = make_mesh(ranks, {2, 1}, /*deadline_s=*/1);
  EXPECT_EQ(mesh.once([] {
    std::this_thread::sleep_for(3s);
    return std::string("done");
  }),
            "done");
}

TEST_F(Mpi, WhoLeavesEndsWhatItWaitsForItself) {
  if (!is_rank()) return start_ranks();
  const std::unique_ptr<Transport> ranks = join(60);
  std::vector<char> data(100);
  if (!is_first()) return std::this_thread::sleep_for(1s);
  const RequestPtr request = ranks->recv(1, 0, data.data(), data.size());
  EXPECT_TRUE(ranks->is_heard(1));
  ranks->leave("a test");
  ASSERT_TRUE(request->wait_until(Clock::now() + 5s));
  EXPECT_EQ(request->failure(), "rank 0 is leaving");
  EXPECT_FALSE(ranks->is_heard(1));
}

// Containers of one host's name have processes of their own: a number there is another's here.
TEST_F(Mpi, RanksInProcessSpacesOfTheirOwnDoNotTakeEachOtherForGone) {
  if (!is_rank()) {
    if (test::shell("unshare --pid --fork true").code != 0)
      GTEST_SKIP() << "process spaces cannot be made here";
    return start_ranks(
        "unshare --pid --fork --mount-proc sh -c '[ $OMPI_COMM_WORLD_RANK = 0 ] || sh -c : ; "
        "\"$@\"' -");
  }
  const std::unique_ptr<Transport> ranks = join(30);
  std::this_thread::sleep_for(1500ms);
  char data = is_first() ? 'x' : ' ';
  const RequestPtr request = is_first() ? ranks->send(1, 0, &data, 1) : ranks->recv(0, 0, &data, 1);
  request->wait();
  EXPECT_EQ(request->failure(), "");
  EXPECT_EQ(data, 'x');
}

}  // namespace
}  // namespace vit22b
