#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "support/datasets.h"
#include "support/files.h"
#include "support/program.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::Ended;
using test::TempFolder;
using test::vit;

/// A model in shards of a few tensors, and images.
class Streamed : public testing::Test {
 protected:
  Streamed() {
    test::write_idx(folder_ / "data", "train", 40);
    test::write_idx(folder_ / "data", "test", 12);
    EXPECT_EQ(vit("model init test8 img_size=16 in_chans=1 num_classes=4 depth=3 --randomize-all "
                  "--shard-size 0.02MB --out " +
                  at("m"))
                  .code,
              0);
  }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  std::vector<fs::path> shards() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(at("m")))
      if (entry.path().extension() == ".safetensors") found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
  }

  TempFolder folder_;
};

TEST_F(Streamed, EveryReaderOfACheckpointSaysTheSame) {
  const std::string model = " " + at("m") + " ", data = at("data");
  for (const std::string& command :
       {"eval" + model + "--data " + data + " --json",
        "knn" + model + "--train " + data + " --k 3 --json",
        "fewshot" + model + "--train " + data + " --shots 2 --json",
        "probe" + model + "--train " + data + " --method lbfgs --c 1 --json"}) {
    const std::string cache = command.starts_with("eval") ? "" : " --cache " + at("cache");
    const Ended resident = vit(command + cache);
    fs::remove_all(at("cache"));
    const Ended streamed = vit(command + cache + " store=streamed");
    fs::remove_all(at("cache"));
    ASSERT_EQ(streamed.code, 0) << streamed.err;
    EXPECT_EQ(streamed.out, resident.out) << command;
    EXPECT_FALSE(streamed.out.empty()) << command;
  }
}

TEST_F(Streamed, ASgdProbeLearnsTheSameHead) {
  const auto probe = [&](const std::string& more) {
    return vit("probe " + at("m") + " --train " + at("data") +
               " --method sgd --epochs 2 --threads 1 --json " + more);
  };
  const Ended resident = probe("--out " + at("a")),
              streamed = probe("store=streamed --out " + at("b"));
  ASSERT_EQ(streamed.code, 0) << streamed.err;
  EXPECT_EQ(streamed.out, resident.out);
  EXPECT_FALSE(fs::exists(at("b/ckpt/latest/model.safetensors")));
}

TEST_F(Streamed, AShardThatIsMissingOrCutIsNamedBeforeAnyOutput) {
  const fs::path shard = shards().at(2);
  const std::string bytes = test::read_file(shard), name = shard.filename().string();
  const std::string command = "features " + at("m") + " --data " + at("data") +
                              " --only pooled store=streamed --out " + at("f.safetensors");
  fs::remove(shard);
  const Ended missing = vit(command);
  EXPECT_EQ(missing.code, 4);
  EXPECT_NE(missing.last_line().find(name), std::string::npos) << missing.err;
  test::write_file(shard, bytes.substr(0, bytes.size() - 1));
  const Ended cut = vit(command);
  EXPECT_EQ(cut.code, 4);
  EXPECT_NE(cut.last_line().find(name), std::string::npos) << cut.err;
  EXPECT_FALSE(fs::exists(at("f.safetensors")));
}

}  // namespace
}  // namespace vit22b
