#include "eval/evaluation.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "dist/threads.h"
#include "support/files.h"
#include "support/numbered_source.h"

namespace vit22b {
namespace {

using test::error_of;
using Numbered = test::NumberedSource;

const Transforms& plain() {
  static const Transforms transforms("value_range(0,255)");
  return transforms;
}

void on_data_ranks(int64_t size, const std::function<void(const Mesh&)>& act) {
  run_as_threads(size, [&](const std::shared_ptr<Transport>& transport) {
    act(make_mesh(transport, {size, 1}, /*deadline_s=*/20));
  });
}

// Three samples on four ranks, one of them unreadable: ranks without a sample come along.
TEST(Evaluation, EveryRankActsAsOftenWhateverItsShareHolds) {
  std::mutex mutex;
  std::multiset<int64_t> seen;
  on_data_ranks(4, [&](const Mesh& mesh) {
    int64_t calls = 0;
    const std::vector<BadSample> bad = for_each_batch(
        Numbered(3, {1}), plain(), {.mesh = &mesh, .max_bad_fraction = 0.5}, [&](Batch& batch) {
          ++calls;
          EXPECT_EQ(mesh.sum(1, MeshAxis::kAll), 4);  // an act may use the mesh
          if (!batch.labels_B.defined()) return;
          const std::lock_guard lock(mutex);
          seen.insert(batch.labels_B[0].item<int64_t>());
        });
    EXPECT_EQ(calls, 1);
    ASSERT_EQ(bad.size(), 1U);
    EXPECT_EQ(bad[0].reason, "file 1 is damaged");
  });
  EXPECT_EQ(seen, (std::multiset<int64_t>{0, 2}));
}

TEST(Evaluation, AStopThatOneRankIsAskedForStopsAllOfThem) {
  std::atomic<int> stopped = 0;
  on_data_ranks(3, [&](const Mesh& mesh) {
    const bool is_asked = mesh.share(MeshAxis::kData, 3).first == 1;
    int64_t batches = 0;
    const EvalOptions options{.batch_size = 2, .mesh = &mesh, .watch = {.should_stop = [&] {
                                                                return is_asked && batches == 2;
                                                              }}};
    EXPECT_EQ(error_of<Stopped>([&] {
                for_each_batch(Numbered(30), plain(), options, [&](Batch&) { ++batches; });
              }),
              "stopped during an evaluation; nothing of it is kept");
    EXPECT_EQ(batches, 2);
    ++stopped;
  });
  EXPECT_EQ(stopped, 3);
}

// 2 % may be bad: one of fifty on either rank is one too many together.
TEST(Evaluation, BadSamplesOfAllRanksCountTogether) {
  const Numbered source(50, {3, 40});
  const std::string want = error_of<DataError>(
      [&] { for_each_batch(source, plain(), {.max_bad_fraction = 0.02}, [](Batch&) {}); });
  EXPECT_TRUE(want.starts_with("2 of 50 samples cannot be used")) << want;
  on_data_ranks(2, [&](const Mesh& mesh) {
    EXPECT_EQ(error_of<DataError>([&] {
                for_each_batch(source, plain(), {.mesh = &mesh, .max_bad_fraction = 0.02},
                               [](Batch&) {});
              }),
              want);
  });
}

TEST(Evaluation, OfNothingIsAnErrorOnAllRanks) {
  for (const int64_t size : {0, 2})
    on_data_ranks(3, [&](const Mesh& mesh) {
      EXPECT_EQ(error_of<DataError>([&] {
                  for_each_batch(Numbered(size, {0, 1}), plain(),
                                 {.mesh = &mesh, .max_bad_fraction = 1}, [](Batch&) {});
                }),
                "no sample could be read; nothing to evaluate");
    });
}

}  // namespace
}  // namespace vit22b
