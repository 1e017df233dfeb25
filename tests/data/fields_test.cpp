#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "core/error.h"
#include "data/field.h"
#include "data/geometry.h"
#include "data/loader.h"
#include "data/mask_labels.h"
#include "data/transforms.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/numbered_source.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::error_of;

struct OddSize {
  int64_t height, width;
};
constexpr OddSize kSizes[] = {{1, 1}, {3, 17}, {13, 7}, {37, 53}, {101, 29}};

/// A picture whose three channels tell a pixel's place, and a mask whose classes do.
Sample hand_made(OddSize size) {
  const at::Tensor y = at::arange(size.height).unsqueeze(1).expand({size.height, size.width}),
                   x = at::arange(size.width).unsqueeze(0).expand({size.height, size.width});
  Sample sample;
  sample.id = "hand-made";
  sample.fields["image"].value = at::stack({y, x, (x + y).remainder(251)}, 2).to(at::kByte);
  sample.fields["mask"] = {FieldKind::kMask, (1000 * y + x).unsqueeze(2).to(at::kInt)};
  return sample;
}

/// What the image says of each pixel's place, as the mask says it.
at::Tensor places(const Sample& sample) {
  const at::Tensor image = sample.fields.at("image").value.to(at::kInt);
  return 1000 * image.select(2, 0) + image.select(2, 1);
}

at::Tensor mask_of(const Sample& sample) {
  return sample.fields.at("mask").value.select(2, 0);
}

// The mask has the nearest pixel whatever the image's method is, so the image takes PIL's nearest.
TEST(Fields, AMaskAndItsImageAreCroppedFlippedAndResizedTogetherAndPutBack) {
  for (const OddSize size : kSizes) {
    const int64_t crop_h = (size.height + 1) / 2, crop_w = (size.width + 2) / 3;
    const std::string keys = ",keys=\"image,mask\"";
    const Transforms transforms(
        concat("random_crop(", crop_h, ",", crop_w, keys, ")|flip_lr(keys=\"image,mask\")|resize(",
               2 * crop_h + 1, ",", 3 * crop_w, ",nearest,pil", keys, ")"),
        /*seed=*/5);
    int64_t flips = 0;
    for (uint64_t index = 0; index < 16; ++index) {
      const at::Tensor whole = mask_of(hand_made(size));
      Sample sample = hand_made(size);
      transforms(sample, index);
      const Geometry& geometry = sample.fields.at("mask").geometry;
      flips += geometry.scale_x < 0 ? 1 : 0;
      ASSERT_TRUE(test::is_same(mask_of(sample), places(sample))) << size.height << " " << index;
      const at::Tensor back = put_back(mask_of(sample), geometry, -1);
      const at::Tensor covered = back.ne(-1);
      ASSERT_EQ(covered.sum().item<int64_t>(), crop_h * crop_w) << size.height << " " << index;
      ASSERT_TRUE(back.masked_select(covered).equal(whole.masked_select(covered)))
          << size.height << " " << index;
    }
    EXPECT_GT(flips, 2) << size.height;
    EXPECT_LT(flips, 14) << size.height;
  }
}

TEST(Fields, WhatIsPaddedIsPutBackWithoutItsMargin) {
  for (const OddSize size : kSizes) {
    const at::Tensor whole = mask_of(hand_made(size));
    Sample sample = hand_made(size);
    const Transforms transforms(
        concat("crop_or_pad(", size.height + 5, ",", size.width + 4, ",9,keys=\"image,mask\")"));
    transforms(sample, 0);
    EXPECT_EQ(mask_of(sample)[0][0].item<int64_t>(), kNoClass);
    EXPECT_EQ(sample.fields.at("image").value[0][0][0].item<int64_t>(), 9);
    EXPECT_TRUE(put_back(mask_of(sample), sample.fields.at("mask").geometry, -1).equal(whole));
  }
}

// A map of several channels, at a lower resolution than the picture: each pixel has the one that
// its middle lies in.
TEST(Fields, AMapOfASmallerPictureIsPutBackByPixelsMiddles) {
  Sample sample = hand_made({6, 4});
  Transforms("resize(3,2)")(sample, 0);
  const at::Tensor map = at::arange(12).view({3, 2, 2});
  const at::Tensor back = put_back(map, sample.fields.at("image").geometry, 0);
  EXPECT_TRUE(back.equal(map.repeat_interleave(2, 0).repeat_interleave(2, 1)));
}

TEST(Fields, AnOperationWithoutKeysActsOnTheImageAlone) {
  Sample sample = hand_made({5, 5});
  Transforms("central_crop(3)|value_range(0,1)")(sample, 0);
  EXPECT_EQ(sample.fields.at("image").value.size(0), 3);
  EXPECT_EQ(sample.fields.at("mask").value.size(0), 5);
}

TEST(Fields, ADepthMapTakesTheNearestAndFramesAreTreatedAlike) {
  Sample sample = hand_made({8, 6});
  sample.fields["depth"] = {FieldKind::kDepth, mask_of(sample).unsqueeze(2).to(at::kFloat)};
  const at::Tensor image = sample.fields.at("image").value;
  sample.fields["frames"] = {FieldKind::kFrames, at::stack({image, image.flip(0)})};
  Transforms(
      "resize(4,3,bicubic,keys=\"image,mask,depth,frames\")|random_crop(2,keys=\"image,mask,"
      "depth,frames\")|rgb(keys=\"image,frames\")|value_range(0,1,keys=\"image,frames\")")(sample,
                                                                                           3);
  EXPECT_TRUE(test::is_same(sample.fields.at("depth").value,
                            sample.fields.at("mask").value.to(at::kFloat)));
  EXPECT_TRUE(test::is_same(sample.fields.at("frames").value[0], sample.fields.at("image").value));
}

TEST(Fields, WhatDoesNotGoTogetherIsNamed) {
  const auto refusal = [](const std::string& transform) {
    Sample sample = hand_made({5, 7});
    sample.fields["small"] = {FieldKind::kMask, at::zeros({2, 2, 1}, at::kInt)};
    sample.fields["text"] = {FieldKind::kText, at::zeros({3}, at::kLong)};
    return error_of<DataError>([&] {
      const Transforms made(transform);
      made(sample, 0);
    });
  };
  EXPECT_EQ(refusal("flip_lr(keys=\"image,small\")"),
            "hand-made: 'small' has 2 x 2 pixels, 'image' 5 x 7; both have to be of one picture");
  EXPECT_EQ(refusal("flip_lr(keys=\"image,text\")"),
            "hand-made: flip_lr acts on pictures, and 'text' is none");
  EXPECT_EQ(refusal("gray(keys=\"image,mask\")"),
            "hand-made: gray changes colours, and 'mask' has none");
  // Of every sample, and so no fault of one.
  EXPECT_EQ(error_of<UsageError>([&] {
              Sample sample = hand_made({5, 7});
              Transforms("flip_lr(keys=\"image,depth\")")(sample, 0);
            }),
            "hand-made: flip_lr finds no field 'depth'; does the transform begin with decode, and "
            "have the data such a field?");
  const auto misuse = [](const std::string& transform) {
    return error_of<UsageError>([&] { const Transforms made(transform); });
  };
  EXPECT_EQ(misuse("flip_lr(keys=\"image,image\")"),
            "preprocessing: flip_lr has keys 'image,image', want different names with commas "
            "between them");
  EXPECT_EQ(misuse("flip_lr(keys=)"),
            "preprocessing: flip_lr has keys '', want different names with commas between them");
  EXPECT_EQ(misuse("flip_lr(keys=\"image,mask\",outkey=\"x\")"),
            "preprocessing: flip_lr has keys 'image,mask', beside which no other key stands");
}

// As in big_vision's InKeyOutKey.
TEST(Fields, AnInputKeyAloneLeavesTheOutputTheImage) {
  Sample sample = hand_made({5, 7});
  sample.fields["copy"] = sample.fields["image"];
  Transforms("central_crop(3,inkey=\"copy\")")(sample, 0);
  EXPECT_EQ(sample.fields.at("copy").value.size(0), 5);
  EXPECT_EQ(sample.fields.at("image").value.size(0), 3);
}

std::string png_chunk(const std::string& kind, const std::string& data) {
  const std::string body = kind + data;
  const auto sum =
      crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return test::big_endian(static_cast<uint32_t>(data.size())) + body +
         test::big_endian(static_cast<uint32_t>(sum));
}

/// A PNG file of rows as they lie, written by hand.
std::vector<uint8_t> png_of(uint32_t width, const std::vector<std::string>& rows, char bits,
                            char colours, const std::string& palette = "") {
  std::string lines;
  for (const std::string& row : rows) lines += std::string(1, '\0') + row;
  std::string packed(lines.size() + 100, '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(lines.data()), lines.size());
  packed.resize(size);
  const std::string header = test::big_endian(width) +
                             test::big_endian(static_cast<uint32_t>(rows.size())) + bits + colours +
                             std::string(3, '\0');
  const std::string file = "\x89PNG\r\n\x1A\n" + png_chunk("IHDR", header) +
                           (palette.empty() ? "" : png_chunk("PLTE", palette)) +
                           png_chunk("IDAT", packed) + png_chunk("IEND", "");
  return {file.begin(), file.end()};
}

at::Tensor decoded(FieldKind kind, std::vector<uint8_t> bytes) {
  Sample sample;
  sample.id = "m.png";
  sample.fields["mask"] = {kind, {}, std::move(bytes)};
  Transforms("decode(keys=\"mask\")")(sample, 0);
  EXPECT_EQ(sample.fields.at("mask").encoded.capacity(), 0U);
  return sample.fields.at("mask").value.select(2, 0);
}

constexpr char kGrey = 0, kColours = 2, kPalette = 3;

TEST(Masks, APalettesIndicesAndNotItsColoursAreTheClasses) {
  const std::string palette("\1\2\3\4\5\6\7\10\11\12\13\14", 12);
  const at::Tensor want = at::tensor({3, 0, 1, 2, 2, 1}, at::kInt).view({2, 3});
  EXPECT_TRUE(decoded(FieldKind::kMask,
                      png_of(3, {"\3" + std::string("\0\1", 2), "\2\2\1"}, 8, kPalette, palette))
                  .equal(want));
  // Two bits a pixel: 11 00 01 .. and 10 10 01 ..
  EXPECT_TRUE(
      decoded(FieldKind::kMask, png_of(3, {"\xC4", "\xA4"}, 2, kPalette, palette)).equal(want));
}

TEST(Masks, SixteenBitsKeepTheirValue) {
  const std::vector<uint8_t> bytes = png_of(2, {std::string("\x01\x00\xFF\xFE", 4)}, 16, kGrey);
  EXPECT_TRUE(
      decoded(FieldKind::kMask, bytes).equal(at::tensor({256, 65534}, at::kInt).view({1, 2})));
  EXPECT_TRUE(
      decoded(FieldKind::kDepth, bytes).equal(at::tensor({256, 65534}, at::kFloat).view({1, 2})));
}

TEST(Masks, ColoursAndOtherFormatsAreRefusedByName) {
  const auto refusal = [](std::vector<uint8_t> bytes) {
    return error_of<DataError>([&] { decoded(FieldKind::kMask, std::move(bytes)); });
  };
  EXPECT_EQ(refusal(png_of(1, {"abc"}, 8, kColours)),
            "m.png has colours, want one number a pixel: a PNG of grey or with a palette");
  EXPECT_EQ(refusal({0xFF, 0xD8, 0xFF, 0xE0}),
            "m.png is no PNG, which masks and depth maps have to be: others lose values");
}

// The sample's only bytes, wherever they are to go.
TEST(Fields, DecodeTakesTheImagesBytesForAFieldThatIsNotThere) {
  for (const char* key : {"key=\"left\"", "outkey=\"left\""}) {
    Sample sample;
    sample.id = "m.png";
    sample.fields["image"].encoded = png_of(1, {"abc"}, 8, kColours);
    const Transforms transforms(concat("decode(", key, ")"));
    transforms(sample, 0);
    EXPECT_EQ(sample.fields.at("left").value.sizes(), (at::IntArrayRef{1, 1, 3}));
  }
  const auto refusal = [](const std::string& transform) {
    return error_of<UsageError>([&] { const Transforms made(transform); });
  };
  EXPECT_EQ(
      refusal("decode(orient,keys=\"image,mask\")"),
      "preprocessing: decode(orient) turns an image by its own EXIF data; decode other fields "
      "without it");
}

/// Pictures of two sizes, with masks.
class TwoSizes : public test::NumberedSource {
 public:
  using NumberedSource::NumberedSource;
  Sample read(int64_t index) const override {
    Sample sample = hand_made(index % 2 == 0 ? OddSize{5, 7} : OddSize{4, 3});
    sample.label = index;
    return sample;
  }
};

TEST(Fields, ABatchOfSeveralSizesIsRaggedWhereThatIsAskedFor) {
  const TwoSizes source(4);
  const Transforms transforms("value_range(0,1)");
  LoaderOptions options{.batch_size = 2, .is_training = false, .is_ragged = true};
  BatchLoader loader(source, transforms, options);
  Batch batch;
  ASSERT_TRUE(loader.next(batch));
  EXPECT_FALSE(batch.images_BCHW().defined());
  EXPECT_EQ(batch.ragged.at("image")[1].sizes(), (at::IntArrayRef{3, 4, 3}));
  EXPECT_EQ(batch.ragged.at("mask")[0].sizes(), (at::IntArrayRef{5, 7}));
  options.is_ragged = false;
  BatchLoader strict(source, transforms, options);
  EXPECT_NE(error_of<DataError>([&] { strict.next(batch); }).find("differ in size"),
            std::string::npos);
}

TEST(Fields, MapsOfOneSizeAreOneTensorWithoutChannels) {
  const TwoSizes source(4);
  const Transforms transforms("resize(4,keys=\"image,mask\")");
  BatchLoader loader(source, transforms, {.batch_size = 4, .is_training = false});
  Batch batch;
  ASSERT_TRUE(loader.next(batch));
  EXPECT_EQ(batch.fields.at("mask").sizes(), (at::IntArrayRef{4, 4, 4}));
  EXPECT_EQ(batch.images_BCHW().sizes(), (at::IntArrayRef{4, 3, 4, 4}));
  ASSERT_EQ(batch.geometries.size(), 4U);
  EXPECT_EQ(batch.geometries[1].source_width, 3);
}

}  // namespace
}  // namespace vit22b
