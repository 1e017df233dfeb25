#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_file.h"
#include "support/files.h"
#include "support/pictures.h"
#include "support/program.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Ended;
using test::TempFolder;
using test::vit;

/// Forty pictures in a folder, and a small classifier.
class ManyImages : public testing::Test {
 protected:
  ManyImages() {
    for (int i = 0; i < 40; ++i)
      test::write_png(folder_ / concat("photos/p", i / 10, i % 10, ".png"), i % 4, i);
    EXPECT_EQ(vit("model init test8 img_size=16 num_classes=3 --out " + at("m")).code, 0);
  }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  /// `features` of the photos into shards of eight.
  Ended shards(const std::string& out, const std::string& before = "") const {
    return vit("features " + at("m") + " " + at("photos") +
                   " --only pooled --batch 4 --shard-images 8 --out " + at(out) + "/",
               before);
  }

  TempFolder folder_;
};

TEST_F(ManyImages, FoldersPatternsAndListsGiveTheSameFeatures) {
  std::string list;
  for (int i = 0; i < 40; ++i) list += at(concat("photos/p", i / 10, i % 10, ".png")) + "\n\n";
  test::write_file(at("list"), list);
  const std::string to = " --only pooled --out ", m = "features " + at("m") + " ";
  EXPECT_EQ(vit(m + at("photos") + to + at("a")).code, 0);
  EXPECT_EQ(vit(m + "'" + at("photos/*.png") + "'" + to + at("b")).code, 0);
  EXPECT_EQ(vit(m + "--list " + at("list") + to + at("c")).code, 0);
  EXPECT_EQ(vit(m + "--list -" + to + at("d"), "cat " + at("list") + " |").code, 0);
  const std::string first = test::read_file(at("a"));
  EXPECT_EQ(
      vit(m + "--list -" + to + at("e"), "find " + at("photos") + " -type f -print0 | sort -z |")
          .code,
      0);
  for (const char* other : {"b", "c", "d", "e"})
    EXPECT_EQ(test::read_file(at(other)), first) << other;
  const SafetensorsFile file(at("a"));
  EXPECT_EQ(file.entry("pooled").shape, (std::vector<int64_t>{40, 32}));
  EXPECT_EQ(json::parse(file.metadata().at("paths"))[11], at("photos/p11.png"));
}

TEST_F(ManyImages, ShardsHoldWhatOneFileHolds) {
  ASSERT_EQ(shards("out").code, 0);
  ASSERT_EQ(vit("features " + at("m") + " " + at("photos") + " --only pooled --batch 4 --out " +
                at("one"))
                .code,
            0);
  std::vector<at::Tensor> rows;
  for (int i = 0; i < 5; ++i)
    rows.push_back(
        SafetensorsFile(at(concat("out/features-0000", i, ".safetensors"))).load("pooled"));
  EXPECT_TRUE(at::cat(rows).equal(SafetensorsFile(at("one")).load("pooled")));
}

TEST_F(ManyImages, AKilledExtractionGoesOnToTheSameBytes) {
  ASSERT_EQ(shards("whole").code, 0);
  ASSERT_EQ(shards("cut").code, 0);
  fs::remove(at("cut/features-00002.safetensors"));
  test::write_file(at("cut/features-00003.safetensors"), "half");
  fs::remove(at("cut/features-00004.safetensors"));
  const auto kept = fs::last_write_time(at("cut/features-00001.safetensors"));
  ASSERT_EQ(shards("cut").code, 0);
  EXPECT_EQ(fs::last_write_time(at("cut/features-00001.safetensors")), kept);
  for (int i = 0; i < 5; ++i) {
    const std::string name = concat("/features-0000", i, ".safetensors");
    EXPECT_EQ(test::read_file(at("cut") + name), test::read_file(at("whole") + name)) << name;
  }
}

TEST_F(ManyImages, AFolderOfOtherFeaturesIsNotTouched) {
  ASSERT_EQ(shards("out").code, 0);
  const Ended other = vit("features " + at("m") + " " + at("photos") +
                          " --only logits --shard-images 8 --out " + at("out"));
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.last_line().find("was made from another checkpoint, transform, data or size"),
            std::string::npos);
}

TEST_F(ManyImages, PredictStreamsTextAndJson) {
  const std::string line = "predict " + at("m") + " " + at("photos") + " --top 2 --batch 7";
  const std::vector<std::string> all = split(trim(vit(line + " --json").out), '\n');
  ASSERT_EQ(all.size(), 40U);
  EXPECT_EQ(json::parse(all[39])["path"], at("photos/p39.png"));
  EXPECT_EQ(json::parse(all[0])["predictions"].size(), 2U);
  EXPECT_EQ(test::shell(test::program() + " " + line + " | head -1").out,
            at("photos/p00.png") + "\n");
}

TEST_F(ManyImages, BadFilesAreNamedAndLeftOutWhereThatIsAllowed) {
  test::write_file(at("photos/p05x.png"), "no picture");
  const Ended refused = vit("features " + at("m") + " " + at("photos") +
                            " --max-bad-fraction 0.001 --out " + at("f"));
  EXPECT_EQ(refused.code, 3);
  EXPECT_NE(refused.last_line().find("p05x.png is neither JPEG, PNG nor WebP"), std::string::npos);
  EXPECT_NE(refused.last_line().find("raise --max-bad-fraction"), std::string::npos);
  const Ended allowed = vit("features " + at("m") + " " + at("photos") + " --out " + at("f"));
  EXPECT_EQ(allowed.code, 0);
  EXPECT_NE(allowed.err.find("left out: " + at("photos/p05x.png")), std::string::npos);
  EXPECT_EQ(SafetensorsFile(at("f")).entry("pooled").shape.at(0), 40);
  EXPECT_EQ(vit("features " + at("m") + " '" + at("photos/*.gif") + "' --out " + at("f")).code, 3);
  EXPECT_EQ(vit("predict " + at("m")).code, 3);
  const std::string none = at("photos/p05x.png") + " --out " + at("none");
  EXPECT_EQ(vit("features " + at("m") + " " + none).last_line(),
            "error: none of 1 images could be read; nothing is written");
  EXPECT_EQ(vit("explain " + at("m") + " " + none).last_line(),
            "error: none of 1 images could be read");
  EXPECT_EQ(vit("explain " + at("m") + " " + at("photos") + " --out " + at("a")).code, 0);
}

TEST_F(ManyImages, ExplainShowsTheClassTokensLastAttentionWhereNoQueryPools) {
  ASSERT_EQ(vit("model init test8 img_size=16 block=serial class_token=true global_pool=token "
                "num_classes=3 --out " +
                at("t"))
                .code,
            0);
  const std::string line = "explain " + at("t") + " " + at("photos/p00.png") + " --out ";
  const Ended shown = vit(line + at("a"));
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_NE(shown.err.find("the model pools by 'token': attention of the class token in the last "
                           "block, 1; --block chooses another"),
            std::string::npos);
  ASSERT_EQ(vit(line + at("b") + " --block 1").code, 0);
  EXPECT_EQ(test::read_file(at("a/00000-p00.attention.npy")),
            test::read_file(at("b/00000-p00.attention.npy")));
}

TEST_F(ManyImages, ExplainDrawsAttentionAndComponentsWithTheirNumbers) {
  const std::string m = "explain " + at("m") + " " + at("photos");
  ASSERT_EQ(vit(m + " --method attention --out " + at("a")).code, 0);
  ASSERT_EQ(vit(m + " --method attention --block 1 --out " + at("b")).code, 0);
  ASSERT_EQ(vit(m + " --method pca --out " + at("p")).code, 0);
  ASSERT_EQ(
      vit(m + " --method pca --basis " + at("p/basis.safetensors") + " --out " + at("q")).code, 0);
  for (const char* name :
       {"a/00039-p39.attention.png", "b/00000-p00.attention.npy", "p/00039-p39.pca.npy"})
    EXPECT_TRUE(fs::exists(at(name))) << name;
  EXPECT_EQ(test::read_file(at("p/00007-p07.pca.png")), test::read_file(at("q/00007-p07.pca.png")));
  EXPECT_NE(test::read_file(at("a/00000-p00.attention.npy")),
            test::read_file(at("b/00000-p00.attention.npy")));
  const Ended shown =
      vit("explain " + at("m") + " " + at("photos/p00.png") + " --show", "NO_COLOR=1");
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_EQ(shown.out.find('\033'), std::string::npos);
  ASSERT_EQ(vit(m + " --method similarity --at 0.1,0.9 --out " + at("s")).code, 0);
  EXPECT_TRUE(fs::exists(at("s/00039-p39.similarity.png")));
  EXPECT_EQ(vit(m + " --at 0.1,0.9 --out " + at("x")).last_line(),
            "error: --at goes with --method similarity");
  EXPECT_EQ(vit(m).last_line(), "error: give --out DIR, or --show");
  EXPECT_EQ(vit(m + " --block 9 --out " + at("x")).last_line(),
            "error: block 9 does not exist: the model has blocks 0 to 1");
}

}  // namespace
}  // namespace vit22b
