#include "eval/feature_cache.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "dist/threads.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/pictures.h"

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
    const at::Tensor pixels = images_BCHW.flatten(1);
    at::Tensor pooled = at::stack({pixels.mean(1), pixels.amax(1)}, 1);
    if (bad_row >= num_seen && bad_row < num_seen + images_BCHW.size(0))
      pooled[bad_row - num_seen][0] = std::numeric_limits<float>::quiet_NaN();
    num_seen += images_BCHW.size(0);
    return {{"pooled", pooled}, {"mean", pixels.slice(1, 0, 3).contiguous()}};
  }
  int64_t num_seen = 0;
  int64_t bad_row = -1;  ///< counted over all that it is shown
  std::string version = "1";

 private:
  Transforms transforms_{"decode|value_range(0,1)"};
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
  EXPECT_FLOAT_EQ(
      second.all("pooled")[17][0].item<float>(),
      source_->read(17).fields.at("image").value.to(at::kFloat).mean().item<float>() / 255);
}

TEST_F(FeatureCache, RanksMakeEachShardOnceTogether) {
  const at::Tensor want = make().all("pooled");
  CacheOptions together = options();
  together.root = folder_ / "together";
  std::atomic<int64_t> num_seen = 0, most = 0;
  run_as_threads(3, [&](const std::shared_ptr<Transport>& transport) {
    const Mesh mesh = make_mesh(transport, {3, 1}, 30);
    CountingExtractor own;
    FileOps ops;
    share_features(own, *source_, together, ops, mesh);
    num_seen += own.num_seen;
    share_features(own, *source_, together, ops, mesh);  // all are there
    if (own.num_seen > most) most = own.num_seen;
  });
  EXPECT_EQ(num_seen, 60);
  EXPECT_EQ(most, 28);  // the first rank's: 16, and the 12 of the last shard
  EXPECT_TRUE(make(together).all("pooled").equal(want));
  EXPECT_EQ(extractor_.num_seen, 60);
}

// The rank that has seen the signal has made nothing; the others have made the shard they were at.
TEST_F(FeatureCache, AStopOfOneRankStopsAllAndWholeShardsStay) {
  std::atomic<int> stopped = 0;
  run_as_threads(3, [&](const std::shared_ptr<Transport>& transport) {
    const Mesh mesh = make_mesh(transport, {3, 1}, 30);
    CountingExtractor own;
    FileOps ops;
    CacheOptions with = options();
    const bool is_asked = mesh.share(MeshAxis::kAll, 3).first == 1;
    with.shards.watch.should_stop = [&] { return is_asked; };
    EXPECT_NE(error_of<Stopped>([&] { share_features(own, *source_, with, ops, mesh); }),
              "(nothing thrown)");
    ++stopped;
  });
  EXPECT_EQ(stopped, 3);
  make();
  EXPECT_EQ(extractor_.num_seen, 16 + 12);
}

TEST_F(FeatureCache, GathersRowsAcrossShards) {
  const FeatureTable table = make();
  const at::Tensor indices = at::tensor({59, 0, 15, 16, 31, 32, 0}, at::kLong);
  for (const char* name : {"pooled", "mean"})
    EXPECT_TRUE(table.rows(name, indices).equal(table.all(name).index_select(0, indices))) << name;
}

TEST_F(FeatureCache, GoesOnAfterAnInterruption) {
  CacheOptions stopping = options();
  stopping.shards.watch.should_stop = [&] { return extractor_.num_seen >= 20; };
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

// The hash is of the tensors' bytes: a header that was changed is found by what it says.
TEST_F(FeatureCache, MakesAShardAgainWhoseHeaderIsDamaged) {
  const at::Tensor before = make().all("pooled");
  const fs::path path = shard("features-00001.safetensors");
  const std::string whole = test::read_file(path);
  const auto damaged = [&](const std::string& from, const std::string& to) {
    std::string bytes = whole;
    bytes.replace(bytes.find(from), from.size(), to);
    test::write_file(path, bytes);
    extractor_.num_seen = 0;
    EXPECT_TRUE(make().all("pooled").equal(before)) << from;
    EXPECT_EQ(extractor_.num_seen, 16) << from;
  };
  damaged("\"paths\"", "\"pathz\"");
  damaged("\"left_out\":\"[]\"", "\"left_out\":\"[1\"");
  damaged("\"left_out\":\"[]\"", "\"left_out\":\"10\"");
  damaged("\"indices\"", "\"indicez\"");
  damaged("\"shape\":[16,2]", "\"shape\":[2,16]");
  damaged("\"dtype\":\"F32\"", "\"dtype\":\"I32\"");
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

/// Another source's samples with other names for their labels.
class Renamed : public DataSource {
 public:
  Renamed(const DataSource& source, std::vector<std::string> names)
      : source_(source), names_(std::move(names)) {}
  int64_t size() const override { return source_.size(); }
  Sample read(int64_t index) const override { return source_.read(index); }
  int64_t label(int64_t index) const override { return source_.label(index); }
  const std::vector<std::string>& label_names() const override { return names_; }
  std::string fingerprint() const override { return source_.fingerprint(); }

 private:
  const DataSource& source_;
  std::vector<std::string> names_;
};

// The names decide what a label means: without the class `ant`, `bee` is 0.
TEST_F(FeatureCache, OfOtherClassNamesIsAnother) {
  FileOps ops;
  const auto seen_with = [&](std::vector<std::string> names) {
    cached_features(extractor_, Renamed(*source_, std::move(names)), options(), ops);
    return std::exchange(extractor_.num_seen, 0);
  };
  EXPECT_EQ(seen_with({"ant", "bee", "cat", "dog"}), 60);
  EXPECT_EQ(seen_with({"bee", "cat", "dog", "eel"}), 60);
  EXPECT_EQ(seen_with({"ant", "bee", "cat", "dog"}), 0);
}

TEST_F(FeatureCache, IsKeptElsewhereWhereItsPlaceCannotBeWritten) {
  test::write_file(folder_ / "file", "a file is no place for a cache");
  CacheOptions places = options();
  places.root = folder_ / "file/cache";
  EXPECT_EQ(error_of<UsageError>([&] { make(places); }),
            "features cannot be kept in " + places.root.string() +
                ", which cannot be written; give another folder with --cache");
  places.otherwise = folder_ / "home/vit22b";
  EXPECT_EQ(make(places).folder().parent_path(), places.otherwise);
  // What is there already is used where it is.
  make();
  places.otherwise = folder_ / "cache";
  extractor_.num_seen = 0;
  EXPECT_EQ(make(places).folder().parent_path(), places.otherwise);
  EXPECT_EQ(extractor_.num_seen, 0);
}

TEST(CachePlaces, AreTheUsersFolderThenTheCheckpointsThenTheUsersCache) {
  const TempFolder folder;
  EXPECT_EQ(cache_places(folder.path(), "named").root, "named");
  EXPECT_TRUE(cache_places(folder.path(), "named").otherwise.empty());
  const char* const before = std::getenv("XDG_CACHE_HOME");
  const std::string kept = before == nullptr ? "" : before;
  setenv("XDG_CACHE_HOME", "/home/me/caches", 1);
  EXPECT_EQ(cache_places(folder.path(), "").root, folder / "cache");
  EXPECT_EQ(cache_places(folder / "model.safetensors", "").root, folder / "cache");
  EXPECT_EQ(cache_places(folder.path(), "").otherwise, "/home/me/caches/vit22b");
  kept.empty() ? unsetenv("XDG_CACHE_HOME") : setenv("XDG_CACHE_HOME", kept.c_str(), 1);
}

TEST_F(FeatureCache, OfTwoThatMakeItTheSecondWaitsForTheFirst) {
  make();
  const fs::path made = fs::directory_iterator(folder_ / "cache")->path();
  fs::remove(made / "features-00003.safetensors");
  test::write_file(made / ".vit22b-0123456789abcdef0123456789abcdef.tmp", "left by a crash");
  auto first = std::make_unique<FolderLock>(made);
  CacheOptions waiting = options();
  waiting.shards.watch.should_stop = [&] {
    first.reset();
    return false;
  };
  extractor_.num_seen = 0;
  make(waiting);
  EXPECT_EQ(extractor_.num_seen, 12);
  EXPECT_FALSE(fs::exists(made / ".vit22b-0123456789abcdef0123456789abcdef.tmp"));
}

TEST_F(FeatureCache, RefusesFeaturesThatAreNotFiniteNamingImageAndTensor) {
  extractor_.bad_row = 17;
  EXPECT_NE(error_of<NumbersError>([&] {
              make();
            }).find(source_->read(17).id + ": the model's 'pooled' is not finite"),
            std::string::npos);
}

TEST_F(FeatureCache, LeavesUnreadableSamplesOut) {
  for (const char* name : {"cat/a.png", "dog/b.png"})
    test::write_file(folder_ / "images" / name, "no image");
  source_ = open_source((folder_ / "images").string(), "train");
  CacheOptions lenient = options();
  lenient.shards.max_bad_fraction = 1;
  EXPECT_EQ(error_of<DataError>([&] { make(lenient); }), "none of 2 samples can be used");
}

// One of four is bad, and alone in its shard.
TEST_F(FeatureCache, CountsWhatWasLeftOutWhetherMadeOrFound) {
  for (int i = 0; i < 4; ++i)
    test::write_png(folder_ / concat("images/cat/", i, ".png"), i, /*seed=*/i);
  test::write_file(folder_ / "images/cat/1.png", "no image");
  source_ = open_source((folder_ / "images").string(), "train");
  CacheOptions lenient = options();
  lenient.shards.samples_per_shard = 1;
  CacheOptions strict = lenient;
  lenient.shards.max_bad_fraction = 0.25;
  const FeatureTable table = make(lenient);
  EXPECT_EQ(table.size(), 3);
  EXPECT_TRUE(table.indices().equal(at::tensor({0, 2, 3}, at::kLong)));
  EXPECT_EQ(table.all("pooled").size(0), 3);
  const auto found = [&](const CacheOptions& with) {
    testing::internal::CaptureStderr();
    make(with);
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_NE(found(lenient).find("left out: " + (folder_ / "images/cat/1.png").string()),
            std::string::npos);
  strict.shards.max_bad_fraction = 0.2;
  EXPECT_NE(error_of<DataError>([&] {
              make(strict);
            }).find("1 of 4 samples cannot be used, more than the share of 0.2"),
            std::string::npos);
}

TEST_F(FeatureCache, KnowsItsSamplesByTheirContent) {
  const FeatureTable table = make();
  EXPECT_EQ(table.contents().size(), 60U);
  EXPECT_EQ(table.contents()[17], content_hash(source_->read(17)));
  EXPECT_NE(table.contents()[17], table.contents()[18]);
}

}  // namespace
}  // namespace vit22b
