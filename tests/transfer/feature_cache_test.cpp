#include "transfer/feature_cache.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/datasets.h"
#include "support/files.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;

/// The mean and the largest pixel of an image; counts what it is shown.
class CountingExtractor : public FeatureExtractor {
 public:
  std::string place() const override { return "counting"; }
  std::string fingerprint() const override { return version; }
  const Transforms& transforms() const override { return transforms_; }
  std::map<std::string, at::Tensor> extract(const at::Tensor& images_BCHW) override {
    num_seen += images_BCHW.size(0);
    const at::Tensor pixels = images_BCHW.flatten(1);
    return {{"pooled", at::stack({pixels.mean(1), pixels.amax(1)}, 1)},
            {"mean", pixels.slice(1, 0, 3).contiguous()}};
  }
  int64_t num_seen = 0;
  std::string version = "1";

 private:
  Transforms transforms_{"value_range(0,1)"};
};

/// 60 small images, cached in shards of 16.
class FeatureCache : public testing::Test {
 protected:
  FeatureCache() {
    test::write_idx(folder_ / "data", "train", 60);
    source_ = open_source((folder_ / "data").string(), "train");
  }
  CacheOptions options() const {
    return {.root = folder_ / "cache", .shards = {.batch_size = 5, .samples_per_shard = 16}};
  }
  FeatureTable make(const CacheOptions& with) {
    FileOps ops;
    return cached_features(extractor_, *source_, with, ops);
  }
  FeatureTable make() { return make(options()); }
  fs::path shard(const std::string& name) const {
    return fs::directory_iterator(folder_ / "cache")->path() / name;
  }

  TempFolder folder_;
  std::unique_ptr<DataSource> source_;
  CountingExtractor extractor_;
};

TEST_F(FeatureCache, MakesEachFeatureOnceAndKeepsTheOrder) {
  const FeatureTable first = make();
  EXPECT_EQ(extractor_.num_seen, 60);
  const FeatureTable second = make();
  EXPECT_EQ(extractor_.num_seen, 60);
  EXPECT_EQ(second.size(), 60);
  EXPECT_TRUE(second.all("pooled").equal(first.all("pooled")));
  EXPECT_TRUE(second.labels().equal(at::arange(60, at::kLong).remainder(4)));
  EXPECT_EQ(second.ids()[17], source_->read(17).id);
  EXPECT_FLOAT_EQ(second.all("pooled")[17][0].item<float>(),
                  source_->read(17).fields.at("image").to(at::kFloat).mean().item<float>() / 255);
}

TEST_F(FeatureCache, GathersRowsAcrossShards) {
  const FeatureTable table = make();
  const at::Tensor indices = at::tensor({59, 0, 15, 16, 31, 32, 0}, at::kLong);
  for (const char* name : {"pooled", "mean"})
    EXPECT_TRUE(table.rows(name, indices).equal(table.all(name).index_select(0, indices))) << name;
}

TEST_F(FeatureCache, GoesOnAfterAnInterruption) {
  CacheOptions stopping = options();
  stopping.shards.should_stop = [&] { return extractor_.num_seen >= 20; };
  EXPECT_EQ(error_of<Stopped>([&] { make(stopping); }),
            "stopped after 16 of 60 samples; the same command goes on from there");
  extractor_.num_seen = 0;
  make();
  EXPECT_EQ(extractor_.num_seen, 44);
}

TEST_F(FeatureCache, MakesADamagedShardAgain) {
  const at::Tensor before = make().all("pooled");
  const fs::path path = shard("features-00001.safetensors");
  std::string bytes = test::read_file(path);
  bytes[bytes.size() - 20] ^= 1;
  test::write_file(path, bytes);
  test::write_file(shard("features-00002.safetensors"), "short");
  extractor_.num_seen = 0;
  EXPECT_TRUE(make().all("pooled").equal(before));
  EXPECT_EQ(extractor_.num_seen, 32);
}

TEST_F(FeatureCache, OfOtherWeightsOrOtherDataIsAnother) {
  make();
  extractor_.version = "2";
  make();
  EXPECT_EQ(extractor_.num_seen, 120);
  fs::last_write_time(folder_ / "data/train-labels-idx1-ubyte", fs::file_time_type::clock::now());
  source_ = open_source((folder_ / "data").string(), "train");
  make();
  EXPECT_EQ(extractor_.num_seen, 180);
}

TEST_F(FeatureCache, LeavesUnreadableSamplesOut) {
  for (const char* name : {"cat/a.png", "dog/b.png"})
    test::write_file(folder_ / "images" / name, "no image");
  source_ = open_source((folder_ / "images").string(), "train");
  CacheOptions lenient = options();
  lenient.shards.max_bad_fraction = 1;
  EXPECT_EQ(error_of<DataError>([&] { make(lenient); }), "none of 2 samples can be used");
}

}  // namespace
}  // namespace vit22b
