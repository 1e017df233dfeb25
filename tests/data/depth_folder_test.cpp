#include "data/sources/depth_folder.h"

#include <gtest/gtest.h>

#include <limits>

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
                "folder a split, or lists train.txt and val.txt of IMAGE DEPTH");
  test::write_depth_picture(folder.path(), "a", 1);
  std::filesystem::rename(folder / "depth/a.png", folder / "depth/b.png");
  EXPECT_EQ(error_of<DataError>([&] { opened("depth:" + folder.path().string(), "train"); }),
            (folder / "rgb").string() + " has 1 pictures, " + (folder / "depth").string() +
                " a depth map for none of them; want NAME.png there for NAME.jpg");
}

/// An .npy file of float32, as numpy writes it.
std::string npy_of(const at::Tensor& values) {
  std::string head = concat("{'descr': '<f4', 'fortran_order': False, 'shape': (", values.size(0),
                            ", ", values.size(1), "), }");
  head.resize(117, ' ');
  head += '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + char(118) + char(0) + head +
         std::string(static_cast<const char*>(values.const_data_ptr()), values.nbytes());
}

TEST(DepthFolder, TakesArraysOfMetresBeforePictures) {
  const TempFolder folder;
  test::write_depth_picture(folder.path(), "a", 0);
  at::Tensor metres = at::full({12, 16}, 3.25F);
  metres[0][0] = std::numeric_limits<float>::quiet_NaN();
  metres[0][1] = std::numeric_limits<float>::infinity();
  metres[0][2] = -1;
  test::write_file(folder / "depth/a.npy", npy_of(metres));
  const auto source = opened("depth:" + folder.path().string(), "train");
  const at::Tensor said = with_depth_metres(source, 0.001)->read(0).fields.at(kDepthField).value;
  EXPECT_EQ(said.sizes(), (std::vector<int64_t>{12, 16, 1}));
  EXPECT_EQ(said.flatten().slice(0, 0, 3).abs().max().item<float>(), 0);  // not measured
  EXPECT_EQ(said[5][5][0].item<float>(), 3.25F);
}

TEST(DepthFolder, ReadsListsOfPairsAsNyuAndKittiHaveThem) {
  const TempFolder folder;
  for (const char* name : {"a", "b"}) test::write_depth_picture(folder.path(), name, 0);
  std::filesystem::create_directories(folder / "input/drive");
  std::filesystem::create_directories(folder / "gt_depth/drive");
  std::filesystem::rename(folder / "rgb/a.png", folder / "input/drive/a.png");
  std::filesystem::rename(folder / "depth/a.png", folder / "gt_depth/drive/a.png");
  std::filesystem::rename(folder / "rgb", folder / "pictures");
  test::write_file(folder / "kitti_eigen_train.txt",
                   "/drive/a.png drive/a.png 721.5377\npictures/b.png None 721.5377\n");
  test::write_file(folder / "nyu_test.txt", "pictures/b.png depth/b.png 518.8579\n");
  const std::string place = "depth:" + folder.path().string();
  EXPECT_EQ(splits_of(place), (std::vector<std::string>{"test", "train"}));
  const auto source = opened(place, "train");
  ASSERT_EQ(source->size(), 1);
  EXPECT_EQ(source->id(0), (folder / "input/drive/a.png").string());
  EXPECT_EQ(
      with_depth_metres(source, 0.001)->read(0).fields.at(kDepthField).value[5][0][0].item<float>(),
      2);
  test::write_file(folder / "val.txt", "pictures/b.png depth/b.png\npictures/c.png depth/b.png\n");
  EXPECT_EQ(error_of<DataError>([&] { opened(place, "val"); }),
            (folder / "val.txt").string() + ":2: there is no picture pictures/c.png in " +
                folder.path().string() + ", its input/ or raw/");
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
