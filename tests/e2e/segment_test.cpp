#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "data/decode.h"
#include "support/masked_pictures.h"
#include "support/pictures.h"
#include "support/program.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Ended;
using test::TempFolder;
using test::vit;

/// A tiny checkpoint, pictures with masks, and a head that was trained on them.
class Segment : public testing::Test {
 protected:
  static std::string at(const std::string& name) { return (*folder_ / name).string(); }

  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    test::write_masked_pictures(*folder_ / "data", 24, 6);
    ASSERT_EQ(vit("model init test8 img_size=16 patch_size=4 --quiet --out " + at("model")).code,
              0);
    const Ended ended = train("run", "total_epochs=30 optim.lr=0.01");
    ASSERT_EQ(ended.code, 0) << ended.err;
    told_ = std::make_unique<std::string>(ended.err);
  }
  static void TearDownTestSuite() {
    folder_.reset();
    told_.reset();
  }

  static Ended train(const std::string& out, const std::string& overrides,
                     const std::string& data = "data") {
    return vit(concat("segment ", at("model"), " --data masks:", at(data), " --out ", at(out),
                      " data.val=val threads=1 segment.features=cached segment.cache=", at("cache"),
                      " ", overrides));
  }
  static at::Tensor values_of(const std::string& path) {
    const std::string bytes = test::read_file(path);
    return decode_values({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, path)
        .select(2, 0);
  }

  static std::unique_ptr<TempFolder> folder_;  ///< of all tests
  static std::unique_ptr<std::string> told_;   ///< by the training
};

std::unique_ptr<TempFolder> Segment::folder_;
std::unique_ptr<std::string> Segment::told_;

TEST_F(Segment, ShowsTheMasksBeforeAnythingElse) {
  EXPECT_LT(told_->find("0 red"), told_->find("looks at 24 images once")) << *told_;
  EXPECT_NE(told_->find("no class"), std::string::npos);
}

TEST_F(Segment, PicturesMeasuredAsFilesHaveTheHeadsOwnNumbers) {
  const Ended own = vit("eval segmentation " + at("run") + " --json --quiet");
  ASSERT_EQ(own.code, 0) << own.err;
  const json said = json::parse(own.out);
  EXPECT_GT(said.at("miou").get<double>(), 0.7);
  EXPECT_EQ(said.at("num_images"), 6);
  EXPECT_EQ(said.at("classes")[1].at("class"), "blue");
  EXPECT_TRUE(fs::exists(at("run/results/segmentation/index.html")));
  const Ended run = vit("segment run " + at("run") + " " + at("data/images/val") + " --out " +
                        at("said") + " --scores --quiet");
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(values_of(at("said/0.png")).sizes(), (at::IntArrayRef{16, 16}));
  EXPECT_TRUE(fs::exists(at("said/0.overlay.png")));
  EXPECT_TRUE(fs::exists(at("said/0.safetensors")));
  const Ended files = vit("eval segmentation --predictions " + at("said") + " --truth " +
                          at("data/masks/val") + " --classes 2 --json --quiet");
  // The overlays lie beside the masks, and have no truth.
  ASSERT_EQ(files.code, 0) << files.err;
  const json of_files = json::parse(files.out);
  for (const char* name : {"miou", "pixel_accuracy", "mean_dice", "boundary_iou"})
    EXPECT_NEAR(of_files.at(name).get<double>(), said.at(name).get<double>(), 1e-12) << name;
}

TEST_F(Segment, PutsWhatItSaysBackOntoPicturesOfOtherSizes) {
  at::Tensor picture = at::full({40, 64, 3}, 30, at::kByte);
  picture.slice(1, 0, 24).select(2, 0).fill_(215);
  picture.slice(1, 24).select(2, 2).fill_(215);
  test::write_file(at("wide/a.png"), encode_png(picture));
  test::write_file(at("other/a.png"), encode_png(picture.slice(0, 0, 20)));
  const Ended run = vit("segment run " + at("run") + " " + at("wide/a.png") + " " +
                        at("other/a.png") + " --out " + at("wide-said") + " --json --quiet");
  ASSERT_EQ(run.code, 0) << run.err;
  const at::Tensor classes = values_of(at("wide-said/a.png"));
  EXPECT_EQ(classes.sizes(), (at::IntArrayRef{40, 64}));
  EXPECT_EQ(classes.slice(1, 0, 16).ne(0).sum().item<int64_t>(), 0);
  EXPECT_EQ(classes.slice(1, 32).ne(1).sum().item<int64_t>(), 0);
  EXPECT_EQ(values_of(at("wide-said/a-2.png")).size(0), 20);  // both keep their names
}

TEST_F(Segment, ARepeatedRunIsDoneAndAConvertedOneSaysTheSame) {
  const Ended again = train("run", "total_epochs=30 optim.lr=0.01");
  EXPECT_EQ(again.code, 0);
  EXPECT_NE(again.out.find("nothing was done"), std::string::npos) << again.out;
  ASSERT_EQ(vit("convert " + at("run") + " " + at("converted") + " --quiet").code, 0);
  for (const char* of : {"run", "converted"})
    ASSERT_EQ(vit(concat("segment run ", at(of), " ", at("data/images/val/1.png"), " --out ",
                         at(concat("said-by-", of)), " --quiet"))
                  .code,
              0);
  EXPECT_EQ(test::read_file(at("said-by-run/1.png")),
            test::read_file(at("said-by-converted/1.png")));
}

TEST_F(Segment, NamesMasksThatAreNone) {
  fs::copy(at("data"), at("bad"), fs::copy_options::recursive);
  test::write_file(at("bad/masks/train/2.png"), test::read_file(at("bad/images/train/2.png")));
  const Ended colours = train("bad-run", "total_epochs=1", "bad");
  EXPECT_EQ(colours.code, 3);
  EXPECT_NE(colours.err.find("images/train/2.png"), std::string::npos) << colours.err;
  EXPECT_NE(colours.err.find("max_bad_fraction"), std::string::npos);
  test::write_mask(at("bad/masks/train/2.png"), at::full({16, 16}, 2, at::kInt));
  const Ended beyond = train("bad-run", "total_epochs=1", "bad");
  EXPECT_EQ(beyond.code, 3);
  EXPECT_NE(beyond.err.find("look: values beyond the 2 classes: 2"), std::string::npos)
      << beyond.err;
  EXPECT_NE(beyond.err.find("off by one? label_offset=-1"), std::string::npos);
  EXPECT_NE(beyond.last_line().find("has the value 2; there are 2 classes"), std::string::npos);
  fs::remove(at("bad/masks/train/2.png"));
  const Ended without = train("bad-run", "total_epochs=1", "bad");
  EXPECT_EQ(without.code, 0) << without.err;
  EXPECT_NE(without.err.find("1 pictures have no mask"), std::string::npos);
}

TEST_F(Segment, RefusesWhatHasNoHeadOrNoPartner) {
  EXPECT_NE(vit("segment run " + at("model") + " " + at("data/images/val/1.png") + " --out " +
                at("nothing"))
                .last_line()
                .find("has no head that names the class of every pixel"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(at("nothing")));
  EXPECT_EQ(vit("segment run " + at("run") + " " + at("data/images/val/1.png")).code, 2);
  EXPECT_NE(vit("eval segmentation --predictions " + at("data/masks/val") + " --truth " +
                at("data/masks/train") + " --classes 2")
                .last_line()
                .find("has no prediction in"),
            std::string::npos);
  test::write_mask(at("short/0.png"), at::zeros({9, 16}, at::kInt));
  const Ended size = vit("eval segmentation --predictions " + at("short") + " --truth " +
                         at("data/masks/val") + " --classes 2");
  EXPECT_EQ(size.code, 3);
  EXPECT_NE(size.last_line().find("9 x 16 pixels, its mask 16 x 16"), std::string::npos);
  EXPECT_NE(vit("predict " + at("run") + " " + at("data/images/val/1.png"))
                .last_line()
                .find("has no classifier"),
            std::string::npos);
  EXPECT_EQ(vit("plan " + at("run") + " mode=train task=segment").code, 2);
}

}  // namespace
}  // namespace vit22b
