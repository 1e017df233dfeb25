#include "dist/mesh.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "support/files.h"

namespace vit22b {
namespace {

/// Rank 0 or 1 of two: sums double, maxima stay, and broadcasts give what the other rank would have
/// sent.
class FakePair : public Communicator {
 public:
  FakePair(int64_t rank, std::string sent_by_root = "")
      : rank_(rank), sent_by_root_(std::move(sent_by_root)) {}
  int64_t rank() const override { return rank_; }
  int64_t size() const override { return 2; }
  void all_reduce_sum_(at::Tensor& tensor) override { tensor.mul_(2); }
  void all_reduce_max_(at::Tensor&) override {}
  std::string broadcast(const std::string& text, int64_t root) override {
    return rank_ == root ? text : sent_by_root_;
  }
  void barrier() override {}

 private:
  int64_t rank_;
  std::string sent_by_root_;
};

Mesh pair_mesh(int64_t rank, const std::string& sent_by_root = "") {
  return {std::make_unique<FakePair>(rank), std::make_unique<SelfCommunicator>(),
          std::make_unique<FakePair>(rank, sent_by_root)};
}

TEST(Mesh, OneProcessIsTheIdentity) {
  const Mesh mesh;
  at::Tensor t = at::ones({3});
  mesh.sum_(t, MeshAxis::kAll);
  EXPECT_EQ(t.sum().item<float>(), 3);
  EXPECT_EQ(mesh.share(MeshAxis::kData, 7).count, 7);
  EXPECT_EQ(mesh.once([] { return std::string("x"); }), "x");
}

TEST(Mesh, SharesFollowEachOtherAndCoverAll) {
  const Share first = pair_mesh(0).share(MeshAxis::kData, 7),
              second = pair_mesh(1).share(MeshAxis::kData, 7);
  EXPECT_EQ(first.first, 0);
  EXPECT_EQ(first.count, 4);
  EXPECT_EQ(second.first, 4);
  EXPECT_EQ(second.count, 3);
  EXPECT_EQ(pair_mesh(1).share(MeshAxis::kModel, 7).count, 7);
}

TEST(Mesh, SumsGoOverTheNamedAxisOnly) {
  const Mesh mesh = pair_mesh(0);
  EXPECT_EQ(mesh.sum(3, MeshAxis::kData), 6);
  EXPECT_EQ(mesh.sum(3, MeshAxis::kModel), 3);
}

TEST(Mesh, OnceActsOnOneRankAndGivesAllItsResult) {
  int calls = 0;
  const auto act = [&] {
    ++calls;
    return std::string("made");
  };
  EXPECT_EQ(pair_mesh(0).once(act), "made");
  EXPECT_EQ(pair_mesh(1, "+made").once(act), "made");
  EXPECT_EQ(calls, 1);
}

TEST(Mesh, OnceGivesAllRanksTheError) {
  const auto failing = []() -> std::string { throw CheckpointError("disk full"); };
  for (const int64_t rank : {0, 1}) {
    try {
      pair_mesh(rank, "-4 disk full").once(failing);
      FAIL();
    } catch (const UserError& e) {
      EXPECT_EQ(e.code(), ExitCode::kCheckpoint);
      EXPECT_STREQ(e.what(), "disk full");
    }
  }
}

}  // namespace
}  // namespace vit22b
