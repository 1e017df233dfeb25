#include "train/run_sources.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/pictures.h"
#include "support/small_run.h"
#include "train/tasks/lit.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::TempFolder;

/// Pictures of two classes in DATA.
class RunSources : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 16; ++i)
      test::write_png(folder_ / concat("data/", i % 2 == 0 ? "ant" : "bee", "/", i / 2, ".png"),
                      i % 2, i);
  }

  TrainConfig config(const std::string& data, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"data.source=folder",
                                    "model.in_chans=3",
                                    "total_steps=2",
                                    "data.pp_eval=decode|rgb|value_range(-1,1)",
                                    "data.pp_train=decode|rgb|value_range(-1,1)",
                                    "data.val=25%"};
    all.insert(all.end(), more.begin(), more.end());
    return test::small_run(folder_ / data, all);
  }

  std::map<std::string, DataRecord> records(const std::string& data) const {
    return data_records(open_train_data(config(data).data));
  }
  std::string difference(const std::string& data) const {
    return data_difference(first_, records(data).at("train"));
  }

  TempFolder folder_;
  DataRecord first_;
};

TEST_F(RunSources, DataIsTheSameWhereverAndWheneverItWasWritten) {
  first_ = records("data").at("train");
  fs::copy(folder_ / "data", folder_ / "copy", fs::copy_options::recursive);
  EXPECT_EQ(difference("copy"), "");
  fs::rename(folder_ / "data", folder_ / "moved");
  EXPECT_EQ(difference("moved"), "");
}

TEST_F(RunSources, DifferencesOfDataAreTold) {
  first_ = records("data").at("train");
  fs::copy(folder_ / "data", folder_ / "swapped", fs::copy_options::recursive);
  fs::rename(folder_ / "swapped/ant", folder_ / "swapped/cat");
  EXPECT_EQ(difference("swapped"), "class 0 is 'bee', it was 'ant'");
  // Equal names and sizes: the bytes tell.
  fs::rename(folder_ / "swapped/bee", folder_ / "swapped/ant");
  fs::rename(folder_ / "swapped/cat", folder_ / "swapped/bee");
  EXPECT_EQ(difference("swapped"), "images of the same names and another content");
  fs::rename(folder_ / "swapped/ant/0.png", folder_ / "swapped/ant/x.png");
  EXPECT_EQ(difference("swapped"), "images of other names, in another order or class");
  fs::remove(folder_ / "swapped/ant/x.png");
  EXPECT_EQ(difference("swapped"), "11 images, there were 12");
}

TEST_F(RunSources, ResumingOnOtherDataIsSaidInALineAndOnMovedDataIsNot) {
  test::run_quietly(config("data"), folder_ / "run");
  fs::rename(folder_ / "data", folder_ / "moved");
  EXPECT_EQ(test::run_quietly(config("moved", {"total_steps=4"}), folder_ / "run").step, 4);
  const fs::path log = folder_ / "run/log.txt";
  EXPECT_EQ(test::read_file(log).find("resuming on other"), std::string::npos);
  test::write_png(folder_ / "moved/ant/new.png", 0, 99);
  EXPECT_EQ(test::run_quietly(config("moved", {"total_steps=6"}), folder_ / "run").step, 6);
  const std::string text = test::read_file(log);
  EXPECT_NE(text.find("resuming on other training data than the checkpoint's: 13 images, there "
                      "were 12"),
            std::string::npos);
  EXPECT_NE(text.find("the 25% held out are drawn anew, with pictures among them that the run was "
                      "trained on"),
            std::string::npos);
}

TEST_F(RunSources, RelativePlacesOfAnOlderRunAreFromWhereItWasStarted) {
  test::run_quietly(config("data"), folder_ / "run");
  const fs::path file = folder_ / "run/config.resolved.toml";
  std::string text = test::read_file(file);
  const std::string whole = "\"" + (folder_ / "data").string() + "\"";
  text.replace(text.find(whole), whole.size(), "\"data\"");
  test::write_file(file, text);
  test::write_file(folder_ / "run/meta.json",
                   "{\"working_folder\": \"" + folder_.path().string() + "\"}");
  EXPECT_EQ(read_run_config(folder_ / "run").data.root, (folder_ / "data").string());
}

TEST(Places, WithAWordAndAColonAreNoPaths) {
  TrainConfig config;
  auto& lit = config.tasks.of<LitConfig>();
  lit.tokenizer = "train:60";
  config.init_from = "a:b/../c";
  config.data.root = "d/a:b";
  make_places_absolute(config, "/base");
  EXPECT_EQ(lit.tokenizer, "train:60");
  EXPECT_EQ(config.init_from, "a:b/../c");
  EXPECT_EQ(config.data.root, "/base/d/a:b");
}

}  // namespace
}  // namespace vit22b
