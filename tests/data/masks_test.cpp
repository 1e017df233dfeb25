#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "data/decode.h"
#include "data/mask_labels.h"
#include "data/mask_transform.h"
#include "data/source.h"
#include "data/sources/mask_folder.h"
#include "data/transforms.h"
#include "support/files.h"
#include "support/masked_pictures.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::TempFolder;

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST(ValuesPng, ReadsBackWithAPaletteAndAsSixteenBits) {
  for (const int64_t largest : {1, 255, 256, 65535}) {
    at::Tensor values = at::arange(35, at::kInt).view({5, 7});
    values[4][6] = largest;
    const std::string png = encode_values_png(values, test::any_colour);
    EXPECT_TRUE(decode_values(bytes_of(png), "x.png").select(2, 0).equal(values)) << largest;
  }
  const at::Tensor picture =
      decode_image(bytes_of(encode_values_png(at::ones({1, 1}, at::kInt), test::any_colour)), "x");
  EXPECT_EQ(picture[0][0][1].item<int>(), 254);
}

TEST(MaskFolder, PairsEveryLayoutByNamesAndSplits) {
  TempFolder folder;
  const auto pair = [&](const fs::path& image, const fs::path& mask) {
    test::write_masked_picture(folder / image, folder / mask, 1);
  };
  pair("plain/images/a.jpg", "plain/masks/a.png");
  pair("ade/images/training/a/x.jpg", "ade/annotations/training/a/x.png");
  pair("ade/images/validation/y.jpg", "ade/annotations/validation/y.png");
  pair("splits/train/images/a.png", "splits/train/masks/a.png");
  pair("splits/val/images/a.png", "splits/val/masks/a.png");
  pair("voc/JPEGImages/a.jpg", "voc/SegmentationClass/a.png");
  pair("voc/JPEGImages/b.jpg", "voc/SegmentationClass/b.png");
  test::write_file(folder / "voc/ImageSets/Segmentation/train.txt", "b\n");
  pair("city/leftImg8bit/val/bonn/bonn_1_leftImg8bit.png",
       "city/gtFine/val/bonn/bonn_1_gtFine_labelTrainIds.png");
  test::write_file(folder / "city/gtFine/val/bonn/bonn_1_gtFine_color.png", "no mask");
  const auto only = [&](const char* root, const char* split) {
    const auto source = open_source((folder / root).string(), split);
    EXPECT_EQ(source->size(), 1) << root;
    const Sample sample = source->read(0);
    EXPECT_EQ(sample.fields.at(kMaskField).kind, FieldKind::kMask);
    return fs::path(sample.id).filename().string();
  };
  EXPECT_EQ(only("plain", "train"), "a.jpg");
  EXPECT_EQ(only("ade", "train"), "x.jpg");
  EXPECT_EQ(only("ade", "val"), "y.jpg");
  EXPECT_EQ(only("splits", "val"), "a.png");
  EXPECT_EQ(only("voc", "train"), "b.jpg");
  EXPECT_EQ(only("city", "val"), "bonn_1_leftImg8bit.png");
  EXPECT_EQ(open_source((folder / "voc").string(), "train")->label_names().size(), 21U);
  EXPECT_EQ(open_source((folder / "city").string(), "val")->label_names()[18], "bicycle");
  EXPECT_TRUE(open_source((folder / "ade").string(), "train")->label_names().empty());
  test::write_file(folder / "ade/objectInfo150.txt",
                   "Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0.1\t2\t3\t1\twall\n");
  EXPECT_EQ(open_source((folder / "ade").string(), "train")->label_names(),
            std::vector<std::string>{"wall"});
}

TEST(MaskFolder, LeavesPicturesWithoutAMaskOutAndRefusesAFolderOfThem) {
  TempFolder folder;
  test::write_masked_picture(folder / "images/a.png", folder / "masks/a.png", 1);
  test::write_masked_picture(folder / "images/b.png", folder / "elsewhere/b.png", 2);
  EXPECT_EQ(open_source("masks:" + folder.path().string(), "train")->size(), 1);
  fs::remove(folder / "masks/a.png");
  EXPECT_NE(test::error_of<DataError>([&] {
              open_source("masks:" + folder.path().string(), "train");
            }).find("has 2 pictures"),
            std::string::npos);
  EXPECT_NE(test::error_of<DataError>([&] {
              open_source("masks:" + (folder / "masks").string(), "train");
            }).find("has no pictures with masks"),
            std::string::npos);
}

TEST(MaskLabels, MapValuesInOnePlace) {
  const at::Tensor values = at::tensor({0, 1, 2, 255}, at::kInt).view({2, 2});
  const MaskLabels plain, shifted{.label_offset = -1}, other{.ignore_index = 1};
  const auto of = [&](const MaskLabels& labels) {
    const at::Tensor classes = labels.classes(values, 3, "a.jpg").flatten();
    return std::vector<int>(classes.const_data_ptr<int>(), classes.const_data_ptr<int>() + 4);
  };
  EXPECT_EQ(of(plain), (std::vector<int>{0, 1, 2, -1}));
  EXPECT_EQ(of(shifted), (std::vector<int>{-1, 0, 1, -1}));
  EXPECT_EQ(test::error_of<DataError>([&] { of(other); }),
            "the mask of a.jpg has the value 255; there are 3 classes, 0 to 2, and 1 is ignored "
            "(label_offset, ignore_index)");
}

TEST(MaskLabels, AreThoseOfASourceThatRefusesOtherValues) {
  TempFolder folder;
  test::write_masked_pictures(folder.path(), 2, 1);
  const std::shared_ptr<const DataSource> source = open_source(folder.path().string(), "train");
  const auto classes = with_mask_classes(source, {}, 2);
  const Sample sample = classes->read(1);
  EXPECT_EQ(sample.fields.at(kMaskField).value[0][0][0].item<int>(), kNoClass);
  EXPECT_NE(classes->fingerprint(), with_mask_classes(source, {255, -1}, 2)->fingerprint());
  EXPECT_THROW(with_mask_classes(source, {}, 1)->read(1), DataError);
}

/// Masks whose columns have these values.
MaskCensus census_of(const std::vector<std::vector<int32_t>>& masks) {
  TempFolder folder;
  for (size_t i = 0; i < masks.size(); ++i) {
    test::write_masked_picture(folder / concat("images/", i, ".png"),
                               folder / concat("masks/", i, ".png"), 0);
    test::write_mask(folder / concat("masks/", i, ".png"),
                     at::tensor(masks[i], at::kInt).unsqueeze(0));
  }
  return census_of_masks(*open_source(folder.path().string(), "train"), 100);
}

std::string warnings_of(const MaskCensus& census, const MaskLabels& labels,
                        const std::vector<std::string>& names) {
  return join(census_warnings(census, labels, names), "\n");
}

TEST(MaskCensus, CountsPixelsAndMasksOfEachValue) {
  const MaskCensus census = census_of({{0, 0, 1, 255}, {0, 3, 3, 3}});
  EXPECT_EQ(census.values.at(0).pixels, 3);
  EXPECT_EQ(census.values.at(0).masks, 2);
  EXPECT_EQ(census.values.at(3).masks, 1);
  EXPECT_EQ(census.num_classes({}), 4);
  EXPECT_EQ(census.num_classes({.label_offset = -1}), 3);
  const std::string text = census_text(census, {}, {"a", "b", "c", "d"});
  EXPECT_NE(text.find("    0  0 a       37.50 %"), std::string::npos) << text;
  EXPECT_NE(text.find("no class"), std::string::npos);
  EXPECT_NE(text.find("look: classes that no mask looked at has: 2 c"), std::string::npos);
}

TEST(MaskCensus, NamesWhatLooksOffByOne) {
  const std::vector<std::string> names = {"a", "b"};
  EXPECT_NE(warnings_of(census_of({{0, 1, 2}}), {}, names).find("label_offset=-1 where 0 is no"),
            std::string::npos);
  EXPECT_NE(warnings_of(census_of({{1, 2, 2}}), {}, names).find("values 1 to 2 and no 0"),
            std::string::npos);
  EXPECT_NE(warnings_of(census_of({{0, 1, 1}}), {.label_offset = -1}, names)
                .find("label_offset=0 where 0 is a class"),
            std::string::npos);
  EXPECT_EQ(warnings_of(census_of({{0, 1, 255}}), {}, names), "");
  EXPECT_EQ(warnings_of(census_of({{0, 1, 2}}), {.label_offset = -1}, names), "");
  EXPECT_NE(warnings_of(census_of({{1, 1}}), {}, names).find("a single class, 1 b"),
            std::string::npos);
  EXPECT_EQ(warnings_of(census_of({{255, 255}}), {}, names), "no pixel has a class");
}

TEST(MaskCensus, NamesEdgesThatAreBlended) {
  std::vector<int32_t> values(20'000, 0);
  for (int32_t i = 0; i < 100; ++i) values[static_cast<size_t>(i)] = i;
  EXPECT_NE(warnings_of(census_of({values}), {}, {"a", "b"}).find("are edges blended"),
            std::string::npos);
}

TEST(MaskTransform, MovesMasksWithTheirPictures) {
  EXPECT_EQ(with_mask("decode|rgb|resize(8,bicubic)|value_range(-1,1)"),
            "decode|rgb|resize(8,bicubic,keys=\"image,mask\")|value_range(-1,1)");
  EXPECT_EQ(fixed_mask_transform("decode|rgb|resize(8,bicubic)|central_crop(4)|value_range(-1,1)"),
            "resize(8,bicubic,keys=\"mask\")|central_crop(4,keys=\"mask\")");
  EXPECT_EQ(fixed_mask_transform(with_mask("decode|resize(8)")), "resize(8,keys=\"mask\")");
  EXPECT_FALSE(fixed_mask_transform("decode|flip_lr"));
  EXPECT_FALSE(fixed_mask_transform("decode|photometric"));
}

/// A picture whose colours are where they were, and the same as its mask.
Sample placed(int64_t height, int64_t width) {
  const at::Tensor places = at::arange(height * width, at::kInt).view({height, width, 1});
  Sample sample;
  sample.fields[kImageField] = {FieldKind::kImage, places.to(at::kByte).expand({height, width, 3})};
  sample.fields[kMaskField] = {FieldKind::kMask, places};
  return sample;
}

TEST(RandomViews, CropAndFillPictureAndMaskAlike) {
  const Transforms crop("random_crop_or_pad(6,9,keys=\"image,mask\")|flip_lr(keys=\"image,mask\")",
                        1);
  bool is_flipped = false, is_moved = false;
  for (uint64_t i = 0; i < 8; ++i) {
    Sample sample = placed(10, 5);
    crop(sample, i);
    const at::Tensor mask = sample.fields.at(kMaskField).value.select(2, 0),
                     image = sample.fields.at(kImageField).value.select(2, 0);
    ASSERT_EQ(mask.sizes(), (at::IntArrayRef{6, 9}));
    EXPECT_EQ(mask.eq(kNoClass).sum().item<int64_t>(), 6 * 4);
    EXPECT_TRUE(at::where(mask.lt(0), at::zeros_like(mask), mask).equal(image.to(at::kInt)));
    is_flipped |= mask[0][0].item<int>() < 0;
    is_moved |= mask.max().item<int>() != mask.flip(1).slice(1, 4)[5][0].item<int>() ||
                mask.max().item<int>() < 49;
  }
  EXPECT_TRUE(is_flipped);
  EXPECT_TRUE(is_moved);
}

TEST(RandomViews, ScaleBothSidesByOneFactor) {
  const Transforms scale("random_scale(0.5,2,keys=\"image,mask\")", 1);
  std::set<int64_t> heights;
  for (uint64_t i = 0; i < 16; ++i) {
    Sample sample = placed(10, 20);
    scale(sample, i);
    const at::IntArrayRef size = sample.fields.at(kMaskField).value.sizes();
    EXPECT_NEAR(static_cast<double>(size[1]), 2.0 * static_cast<double>(size[0]), 1.01);
    EXPECT_GE(size[0], 5);
    EXPECT_LE(size[0], 20);
    heights.insert(size[0]);
  }
  EXPECT_GT(heights.size(), 5U);
  EXPECT_THROW(Transforms("random_scale(2,1)"), UsageError);
}

TEST(Photometric, ChangesColoursAndNeverMasksAndKeepsGreyGrey) {
  const Transforms light("photometric", 3);
  int changed = 0;
  for (uint64_t i = 0; i < 8; ++i) {
    Sample sample = placed(8, 8);
    const at::Tensor grey = sample.fields.at(kImageField).value;
    light(sample, i);
    const at::Tensor now = sample.fields.at(kImageField).value;
    // Without saturation there is no hue to turn.
    EXPECT_TRUE(now.select(2, 0).equal(now.select(2, 2)));
    changed += !now.equal(grey);
  }
  EXPECT_GT(changed, 2);
}

TEST(Photometric, TurnsHueAndKeepsTheValueOfAColour) {
  // The largest channel is the value, which hue and saturation leave as it is.
  const Transforms light("photometric", 3);
  bool is_turned = false;
  for (uint64_t i = 0; i < 32; ++i) {
    Sample sample;
    sample.fields[kImageField] = {FieldKind::kImage,
                                  at::tensor({200, 40, 40}, at::kByte).view({1, 1, 3})};
    light(sample, i);
    const at::Tensor now = sample.fields.at(kImageField).value.flatten().to(at::kInt);
    is_turned |= now[1].item<int>() != now[2].item<int>();
    EXPECT_GE(now[0].item<int>(), std::max(now[1].item<int>(), now[2].item<int>()));
  }
  EXPECT_TRUE(is_turned);
}

}  // namespace
}  // namespace vit22b
