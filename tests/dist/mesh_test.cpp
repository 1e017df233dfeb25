#include "dist/mesh.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "dist/threads.h"
#include "support/files.h"

namespace vit22b {
namespace {

/// Runs as the ranks of a mesh, each a thread.
void on_mesh(MeshShape shape, const std::function<void(const Mesh&)>& act) {
  run_as_threads(shape.data * shape.model, [&](const std::shared_ptr<Transport>& transport) {
    act(make_mesh(transport, shape, /*deadline_s=*/30));
  });
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
  on_mesh({3, 2}, [](const Mesh& mesh) {
    const Share own = mesh.share(MeshAxis::kData, 7);
    const std::vector<std::string> all =
        mesh.gather_text(concat(own.first, "+", own.count), MeshAxis::kData);
    EXPECT_EQ(all, (std::vector<std::string>{"0+3", "3+2", "5+2"}));
    EXPECT_EQ(mesh.share(MeshAxis::kModel, 4).count, 2);
  });
}

TEST(Mesh, SumsGoOverTheNamedAxisOnly) {
  on_mesh({2, 3}, [](const Mesh& mesh) {
    EXPECT_EQ(mesh.sum(1, MeshAxis::kData), 2);
    EXPECT_EQ(mesh.sum(1, MeshAxis::kModel), 3);
    EXPECT_EQ(mesh.sum(1, MeshAxis::kAll), 6);
  });
}

TEST(Mesh, SumsTogetherEqualSumsAlone) {
  on_mesh({4, 1}, [](const Mesh& mesh) {
    const auto own = static_cast<double>(mesh.share(MeshAxis::kData, 4).first);
    const std::vector<at::Tensor> tensors = {at::full({3, 2}, own), at::full({5}, 10 * own),
                                             at::full({1}, 100 * own)};
    mesh.sum_together_(tensors, MeshAxis::kData, "three");
    EXPECT_TRUE(at::equal(tensors[0], at::full({3, 2}, 6.0)));
    EXPECT_TRUE(at::equal(tensors[1], at::full({5}, 60.0)));
    EXPECT_TRUE(at::equal(tensors[2], at::full({1}, 600.0)));
  });
}

TEST(Mesh, OnceActsOnOneRankAndGivesAllItsResult) {
  std::atomic<int> calls = 0;
  on_mesh({2, 2}, [&](const Mesh& mesh) {
    EXPECT_EQ(mesh.once([&] {
      ++calls;
      return std::string("made");
    }),
              "made");
  });
  EXPECT_EQ(calls, 1);
}

TEST(Mesh, OnceGivesAllRanksTheError) {
  on_mesh({3, 1}, [](const Mesh& mesh) {
    try {
      mesh.once([]() -> std::string { throw CheckpointError("disk full"); });
      FAIL();
    } catch (const UserError& e) {
      EXPECT_EQ(e.code(), ExitCode::kCheckpoint);
      EXPECT_STREQ(e.what(), "disk full");
    }
  });
}

TEST(Mesh, AgreeThrowsOneRanksErrorOnAll) {
  on_mesh({2, 2}, [](const Mesh& mesh) {
    const bool is_failing = mesh.share(MeshAxis::kData, 2).first == 1;
    try {
      mesh.agree([&] {
        if (is_failing) throw DataError("a bad file");
      });
      FAIL();
    } catch (const UserError& e) {
      EXPECT_EQ(e.code(), ExitCode::kData);
      EXPECT_STREQ(e.what(), "a bad file");
    }
  });
}

TEST(Mesh, ShapesThatDoNotFitNameThoseThatDo) {
  EXPECT_EQ(test::error_of<UsageError>([] {
              complete_mesh_shape({2, 2}, 6);
            }),
            "mesh.data=2 mesh.model=2 wants 4 ranks, there are 6; use mesh.data=6 mesh.model=1, or "
            "mesh.data=3 mesh.model=2, or mesh.data=2 mesh.model=3, or mesh.data=1 mesh.model=6");
  EXPECT_EQ(test::error_of<UsageError>([] {
              complete_mesh_shape({2, 2}, 1);
            }),
            "mesh.data=2 mesh.model=2 wants 4 ranks, there is one process; start it with --procs 4 "
            "or mpirun, or use mesh.data=1 mesh.model=1");
  EXPECT_EQ(complete_mesh_shape({0, 2}, 6).data, 3);
}

}  // namespace
}  // namespace vit22b
