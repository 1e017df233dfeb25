#include <gtest/gtest.h>

#include "core/text.h"
#include "support/files.h"
#include "support/pictures.h"
#include "support/program.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::Ended;
using test::TempFolder;
using test::vit;

/// Runs as a user has them: a folder with data, a config without a model, and a checkpoint.
class Runs : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 24; ++i)
      test::write_png(folder_ / concat("data/", i % 2 == 0 ? "ant" : "bee", "/", i, ".png"), i % 2,
                      i);
    test::write_file(folder_ / "c.toml",
                     "total_steps = 2\neval_steps = 2\nckpt_steps = 2\nthreads = 1\n"
                     "[data]\nsource = \"folder\"\nroot = \"data\"\nbatch_size = 4\n"
                     "val = \"25%\"\n[schedule]\nname = \"constant\"\n");
    ASSERT_EQ(vit("model init test8 img_size=16 num_classes=2 --out " + at("source")).code, 0);
  }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  /// The program, run in the folder.
  Ended in_folder(const std::string& arguments) const {
    return vit(arguments, "cd " + folder_.path().string() + " &&");
  }
  Ended finetune(const std::string& more) const {
    return in_folder("finetune c.toml --out run " + more);
  }

  TempFolder folder_;
};

TEST_F(Runs, GoOnWithoutTheCheckpointWhoseModelTheyHave) {
  ASSERT_EQ(finetune("--init-from source").code, 0);
  fs::rename(folder_ / "source", folder_ / "moved");
  const Ended same = finetune("--init-from source total_steps=4");
  EXPECT_EQ(same.code, 0) << same.err;
  const Ended moved = finetune("--init-from " + at("moved") + " total_steps=6");
  EXPECT_EQ(moved.code, 0) << moved.err;
  EXPECT_TRUE(fs::exists(folder_ / "run/ckpt/step-00000006"));
}

TEST_F(Runs, AreEvaluatedFromAnyFolder) {
  ASSERT_EQ(finetune("--init-from source").code, 0);
  const Ended there = vit("eval " + at("run") + " --json", "cd / &&");
  EXPECT_EQ(there.code, 0) << there.err;
  EXPECT_NE(there.out.find("\"num_examples\": 6"), std::string::npos);
}

TEST_F(Runs, TheHeldOutPartOfChangedDataIsRefused) {
  ASSERT_EQ(finetune("--init-from source").code, 0);
  EXPECT_EQ(vit("eval " + at("run") + " --split val").code, 0);
  test::write_png(folder_ / "data/ant/new.png", 0, 99);
  const Ended ended = vit("eval " + at("run") + " --split val");
  EXPECT_EQ(ended.code, 3);
  EXPECT_EQ(ended.last_line(),
            "error: folder:" + at("data") + " is not what " + at("run") +
                " was trained on any more: 19 images, there were 18. The 25% held out would be "
                "drawn anew, with pictures among them that the run was trained on; put the data "
                "back as it was, or test on other pictures with --data SRC");
  // Its training part may be looked at; what it says is of training pictures anyway.
  EXPECT_EQ(vit("eval " + at("run") + " --split train").code, 0);
}

TEST_F(Runs, BeyondTheTotalSayWhereTheyAre) {
  ASSERT_EQ(finetune("--init-from source total_steps=4").code, 0);
  const Ended ended = finetune("--init-from source total_steps=2");
  EXPECT_EQ(ended.code, 0);
  EXPECT_TRUE(ended.out.starts_with("already at step 4, beyond the total of 2; nothing was done: "))
      << ended.out;
  EXPECT_TRUE(finetune("--init-from source total_steps=4")
                  .out.starts_with("already at step 4; nothing was done: "));
}

TEST_F(Runs, CheckpointsWithoutTheStateOfTheirTrainingAreModels) {
  ASSERT_EQ(finetune("--init-from source").code, 0);
  fs::copy(folder_ / "run/ckpt/latest/", folder_ / "copy", fs::copy_options::recursive);
  fs::remove(folder_ / "copy/optimizer.safetensors");
  fs::remove(folder_ / "copy/trainer.json");
  const std::string data = " --data folder:" + at("data") + " --split train";
  EXPECT_EQ(vit("eval " + at("copy") + data).code, 0);
  EXPECT_EQ(vit("predict " + at("copy") + " " + at("data/ant/0.png")).code, 0);
  EXPECT_EQ(in_folder("finetune c.toml --out tuned --init-from copy").code, 0);
  const Ended resumed = in_folder("train c.toml --out on --resume copy init_from=copy");
  EXPECT_EQ(resumed.code, 4);
  EXPECT_NE(resumed.last_line().find("optimizer.safetensors is missing"), std::string::npos);
  // What a model is made of is asked for.
  fs::remove(folder_ / "copy/model.safetensors");
  EXPECT_EQ(vit("eval " + at("copy") + data).code, 4);
}

}  // namespace
}  // namespace vit22b
