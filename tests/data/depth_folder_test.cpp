#include "data/sources/depth_folder.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "data/depth_values.h"
#include "support/depth_pictures.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;

std::shared_ptr<const DataSource> opened(const std::string& text, const std::string& split) {
  return open_source(text, split);
}

TEST(DepthFolder, PairsPicturesWithTheirMapsBySplit) {
  const TempFolder folder;
  test::write_depth_pictures(folder.path());
  const std::string place = folder.path().string();
  EXPECT_EQ(splits_of("depth:" + place), (std::vector<std::string>{"train", "val"}));
  const auto source = opened(place, "train");  // a bare path is recognised
  EXPECT_EQ(source->size(), 24);
  const Sample sample = source->read(0);
  EXPECT_EQ(sample.fields.at(kDepthField).kind, FieldKind::kDepth);
  EXPECT_FALSE(sample.fields.at(kDepthField).encoded.empty());
}

TEST(DepthFolder, OfSplitsAboveIsOneToo) {
  const TempFolder folder;
  for (const char* split : {"training", "validation"})
    test::write_depth_picture(folder / split, "a", 1);
  EXPECT_EQ(splits_of("depth:" + folder.path().string()),
            (std::vector<std::string>{"train", "val"}));
}

TEST(DepthFolder, WithoutPairsIsRefusedByName) {
  const TempFolder folder;
  EXPECT_EQ(error_of<DataError>([&] { opened("depth:" + folder.path().string(), "train"); }),
            folder.path().string() +
                " has no pictures with depth maps; want rgb/ and depth/, each flat or with a "
                "folder a split");
  test::write_depth_picture(folder.path(), "a", 1);
  std::filesystem::rename(folder / "depth/a.png", folder / "depth/b.png");
  EXPECT_EQ(error_of<DataError>([&] { opened("depth:" + folder.path().string(), "train"); }),
            (folder / "rgb").string() + " has 1 pictures, " + (folder / "depth").string() +
                " a depth map for none of them; want NAME.png there for NAME.jpg");
}

TEST(DepthValues, AreMetresByTheirUnit) {
  const TempFolder folder;
  test::write_depth_picture(folder.path(), "a", 0);
  const auto source = opened("depth:" + folder.path().string(), "train");
  const at::Tensor metres = with_depth_metres(source, 0.001)->read(0).fields.at(kDepthField).value;
  EXPECT_EQ(metres.sizes(), (std::vector<int64_t>{12, 16, 1}));
  EXPECT_EQ(metres[0][0][0].item<float>(), 0);
  EXPECT_EQ(metres[5][0][0].item<float>(), 2);
  EXPECT_EQ(metres[5][15][0].item<float>(), 8);
  EXPECT_NE(with_depth_metres(source, 0.001)->fingerprint(),
            with_depth_metres(source, 0.01)->fingerprint());
}

TEST(DepthValues, OfEightBitsAreRefused) {
  const TempFolder folder;
  test::write_depth_picture(folder.path(), "a", 0);
  test::write_file(folder / "depth/a.png", encode_png(at::ones({12, 16, 1}, at::kByte)));
  const auto source = with_depth_metres(opened("depth:" + folder.path().string(), "train"), 1);
  EXPECT_EQ(error_of<DataError>([&] { source->read(0); }),
            "the depth map of " + (folder / "rgb/a.png").string() +
                " has 8 bits a pixel, which are too few for depths; want a PNG of 16");
}

TEST(DepthSpread, SaysWhatDepthsThereAreAndWhetherTheUnitMayBeRight) {
  const TempFolder folder;
  test::write_depth_pictures(folder.path());
  const auto source = opened("depth:" + folder.path().string(), "train");
  const DepthSpread spread = spread_of_depths(*with_depth_metres(source, 0.001), 10);
  EXPECT_EQ(spread.num_maps, 10);
  EXPECT_EQ(spread.num_empty, 0);
  EXPECT_EQ(spread.nearest, 2);
  EXPECT_EQ(spread.farthest, 8);
  EXPECT_NEAR(spread.measured_share, 11.0 / 12, 1e-6);
  EXPECT_TRUE(spread.is_plausible());
  EXPECT_FALSE(spread_of_depths(*with_depth_metres(source, 1), 10).is_plausible());
}

TEST(DepthSpread, OfMapsThatMeasureNothingIsAnError) {
  const TempFolder folder;
  test::write_depth_picture(folder.path(), "a", 0);
  test::write_file(folder / "depth/a.png", encode_wide_png(at::zeros({12, 16}, at::kInt)));
  const auto source = with_depth_metres(opened("depth:" + folder.path().string(), "train"), 1);
  EXPECT_EQ(error_of<DataError>([&] { spread_of_depths(*source, 10); }),
            "none of 1 depth maps that were looked at measures anything; 0 is for pixels without a "
            "depth");
}

}  // namespace
}  // namespace vit22b
