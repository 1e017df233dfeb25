#include "data/loader.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "data/sources/image_list.h"
#include "support/files.h"
#include "support/numbered_source.h"
#include "support/pictures.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::error_of;
using Numbered = test::NumberedSource;

const Transforms& plain() {
  static const Transforms transforms("value_range(0,255)");
  return transforms;
}

std::vector<int64_t> labels_of(const DataSource& source, const LoaderOptions& options,
                               int64_t batches) {
  BatchLoader loader(source, plain(), options);
  std::vector<int64_t> labels;
  Batch batch;
  for (int64_t i = 0; i < batches && loader.next(batch); ++i)
    for (int64_t j = 0; j < batch.labels_B.numel(); ++j)
      labels.push_back(batch.labels_B[j].item<int64_t>());
  return labels;
}

TEST(Order, EachEpochIsAPermutationOfItsOwn) {
  std::set<int64_t> first, second;
  bool is_different = false;
  for (uint64_t i = 0; i < 101; ++i) {
    first.insert(sample_at(i, 101, 7));
    second.insert(sample_at(101 + i, 101, 7));
    is_different = is_different || sample_at(i, 101, 7) != sample_at(101 + i, 101, 7);
  }
  EXPECT_EQ(first.size(), 101u);
  EXPECT_EQ(second.size(), 101u);
  EXPECT_TRUE(is_different);
}

TEST(BatchLoader, BatchesDoNotDependOnTheNumberOfWorkers) {
  const Numbered source(50);
  const auto with = [&](int64_t workers) {
    return labels_of(source, {.batch_size = 7, .num_workers = workers, .seed = 3}, 20);
  };
  EXPECT_EQ(with(1), with(4));
}

TEST(BatchLoader, ANeighbourIsTheSampleThatFarFromTheBatchsFirst) {
  const Numbered source(50);
  const std::vector<int64_t> whole = labels_of(source, {.batch_size = 8, .seed = 3}, 10);
  // Shares of four, the second one's neighbour before it and the first one's at the batch's end.
  for (const auto& [first, neighbour] : {std::pair{0, 7}, {4, -1}}) {
    const std::vector<int64_t> share = labels_of(source,
                                                 {.batch_size = 4,
                                                  .stride = 8,
                                                  .first_index = static_cast<uint64_t>(first),
                                                  .neighbour = neighbour,
                                                  .num_workers = 3,
                                                  .seed = 3},
                                                 10);
    ASSERT_EQ(share.size(), 50U);
    for (size_t batch = 0; batch < 10; ++batch) {
      const size_t begin = 8 * batch + static_cast<size_t>(first);
      for (size_t i = 0; i < 4; ++i) EXPECT_EQ(share[5 * batch + i], whole[begin + i]);
      EXPECT_EQ(share[5 * batch + 4], whole[begin + static_cast<size_t>(neighbour)]);
    }
  }
}

/// Samples whose field "mask" is a tensor that the source keeps too.
class Shared : public Numbered {
 public:
  explicit Shared(int64_t size) : Numbered(size) {
    for (int64_t i = 0; i < size; ++i) masks_.push_back(at::full({2}, i));
  }
  Sample read(int64_t index) const override {
    Sample sample = Numbered::read(index);
    sample.fields["mask"] = {FieldKind::kVector, masks_.at(static_cast<size_t>(index))};
    return sample;
  }
  const std::vector<at::Tensor>& masks() const { return masks_; }

 private:
  std::vector<at::Tensor> masks_;
};

// A batch has copies; samples beside it would be twice the memory, of three batches.
TEST(BatchLoader, KeepsNoSampleThatIsInABatch) {
  const Shared source(6);
  BatchLoader loader(source, plain(), {.batch_size = 6, .num_workers = 1, .is_training = false});
  Batch batch;
  ASSERT_TRUE(loader.next(batch));
  EXPECT_EQ(batch.fields.at("mask").size(0), 6);
  for (const at::Tensor& mask : source.masks()) EXPECT_EQ(mask.use_count(), 1u);
}

TEST(BatchLoader, TakesAsManyPixelsAsItIsAskedTo) {
  const test::TempFolder folder;
  test::write_png(folder / "a.png", 0, 0);  // of 16 x 16
  const auto source = make_image_list({(folder / "a.png").string()});
  const Transforms decode("decode|value_range(0,1)");
  const auto bad = [&](int64_t max_pixels) {
    BatchLoader loader(*source, decode,
                       {.batch_size = 1,
                        .num_workers = 1,
                        .is_training = false,
                        .max_bad_fraction = 1,
                        .max_pixels = max_pixels});
    Batch batch;
    loader.next(batch);
    return loader.bad_samples().size();
  };
  EXPECT_EQ(bad(256), 0u);
  EXPECT_EQ(bad(255), 1u);
}

TEST(BatchLoader, StateIsOneInteger) {
  const Numbered source(50);
  const std::vector<int64_t> whole = labels_of(source, {.batch_size = 7, .seed = 3}, 20);
  const std::vector<int64_t> rest =
      labels_of(source, {.batch_size = 7, .first_index = 70, .seed = 3}, 10);
  EXPECT_EQ(rest, std::vector<int64_t>(whole.begin() + 70, whole.end()));
}

TEST(BatchLoader, TwoSharesTogetherAreTheWholeBatch) {
  const Numbered source(50);
  const std::vector<int64_t> whole = labels_of(source, {.batch_size = 8, .seed = 3}, 2);
  const std::vector<int64_t> low =
      labels_of(source, {.batch_size = 5, .stride = 8, .first_index = 0, .seed = 3}, 2);
  const std::vector<int64_t> high =
      labels_of(source, {.batch_size = 3, .stride = 8, .first_index = 5, .seed = 3}, 2);
  EXPECT_EQ(std::vector<int64_t>(whole.begin(), whole.begin() + 5),
            std::vector<int64_t>(low.begin(), low.begin() + 5));
  EXPECT_EQ(std::vector<int64_t>(whole.begin() + 13, whole.end()),
            std::vector<int64_t>(high.begin() + 3, high.end()));
}

TEST(BatchLoader, APassSeesEverySampleOnceInOrder) {
  const Numbered source(23);
  std::vector<int64_t> want(23);
  for (int64_t i = 0; i < 23; ++i) want[static_cast<size_t>(i)] = i;
  EXPECT_EQ(labels_of(source, {.batch_size = 5, .num_workers = 3, .is_training = false}, 100),
            want);
}

TEST(BatchLoader, BadSamplesAreReplacedAlikeAndNamed) {
  const Numbered source(50, {4, 9});
  const LoaderOptions options{
      .batch_size = 25, .num_workers = 2, .seed = 3, .max_bad_fraction = 0.1};
  const std::vector<int64_t> labels = labels_of(source, options, 4);
  EXPECT_EQ(labels.size(), 100u);
  EXPECT_EQ(
      std::count(labels.begin(), labels.end(), 4) + std::count(labels.begin(), labels.end(), 9), 0);
  EXPECT_EQ(labels, labels_of(source, options, 4));
  BatchLoader loader(source, plain(), options);
  Batch batch;
  for (int i = 0; i < 2; ++i) loader.next(batch);
  const auto bad = loader.bad_samples();
  ASSERT_EQ(bad.size(), 2u);
  EXPECT_EQ(bad[0].reason, "file 4 is damaged");
}

TEST(BatchLoader, EvaluationLeavesBadSamplesOut) {
  const Numbered source(10, {4});
  EXPECT_EQ(labels_of(source, {.batch_size = 3, .is_training = false, .max_bad_fraction = 0.1}, 10),
            (std::vector<int64_t>{0, 1, 2, 3, 5, 6, 7, 8, 9}));
}

TEST(BatchLoader, ByDefaultHalfTheCoresLoadAndAtMostEight) {
  EXPECT_GE(default_loader_workers(), 1);
  EXPECT_LE(default_loader_workers(), 8);
  EXPECT_LE(default_loader_workers(), std::max(1U, std::thread::hardware_concurrency() / 2));
}

TEST(BatchLoader, TooManyBadSamplesStopNamingTheOption) {
  const Numbered source(10, {4, 5});
  EXPECT_EQ(error_of<DataError>([&] {
              labels_of(source, {.batch_size = 10, .is_training = false, .max_bad_fraction = 0.1},
                        1);
            }),
            "2 of 10 samples cannot be used, more than the share of 0.1 that may be bad; the last: "
            "file 5 is damaged. Remove or mend the files, or raise --max-bad-fraction (in a config "
            "data.max_bad_fraction)");
}

}  // namespace
}  // namespace vit22b
