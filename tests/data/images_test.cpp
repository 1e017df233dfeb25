#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "checkpoint/container/safetensors_file.h"
#include "core/error.h"
#include "core/rng.h"
#include "data/decode.h"
#include "data/exif.h"
#include "data/image_ops.h"
#include "data/resample.h"
#include "data/transforms.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::error_of;

const SafetensorsFile& oracle() {
  const char* live = std::getenv("VIT22B_IMAGES_ORACLE");  // a folder that make_images.py wrote
  static const SafetensorsFile file(
      (live != nullptr ? std::filesystem::path(live) : test::source_path("tests/oracle")) /
      "images.safetensors");
  return file;
}

std::span<const uint8_t> bytes_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<uint8_t>(), static_cast<size_t>(tensor.numel())};
}

int64_t largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kInt) - b.to(at::kInt)).abs().max().item<int64_t>();
}

/// Calls test(name, method, input, PIL's result) for every resize of the oracle.
void for_each_resize(const std::function<void(const std::string&, const std::string&,
                                              const at::Tensor&, const at::Tensor&)>& test) {
  for (const auto& [name, entry] : oracle().entries()) {
    const size_t slash = name.find('/'), dot = name.find('.');
    if (dot == std::string::npos) continue;
    test(name, name.substr(slash + 1, dot - slash - 1),
         oracle().load(name.substr(0, slash) + "/input"), oracle().load(name));
  }
}

TEST(Resize, EqualsPilWithinOneLevel) {
  int cases = 0;
  for_each_resize([&](const std::string& name, const std::string& method, const at::Tensor& input,
                      const at::Tensor& want) {
    if (method != "bilinear" && method != "bicubic") return;
    EXPECT_LE(largest_difference(resize_image(input, want.size(0), want.size(1), {method}), want),
              1)
        << name;
    ++cases;
  });
  EXPECT_EQ(cases, 30);
}

TEST(Resize, ByPilsRuleEqualsPil) {
  int cases = 0;
  for_each_resize([&](const std::string& name, const std::string& method, const at::Tensor& input,
                      const at::Tensor& want) {
    EXPECT_TRUE(test::is_same(
        resize_image(input, want.size(0), want.size(1), {method, /*is_pil=*/true}), want))
        << name;
    ++cases;
  });
  EXPECT_EQ(cases, 66);
}

TEST(Resize, ByPilsRuleTakesEveryNumberOfChannels) {
  const at::Tensor grey = oracle().load("37x53/gray"), colour = oracle().load("37x53/input");
  const at::Tensor four = at::cat({colour, grey}, 2);
  const at::Tensor got = resample_pil(four, 16, 16, "bicubic");
  EXPECT_TRUE(test::is_same(got.slice(2, 0, 3).contiguous(), oracle().load("37x53/bicubic.16x16")));
  EXPECT_TRUE(
      test::is_same(got.slice(2, 3, 4).contiguous(), resample_pil(grey, 16, 16, "bicubic")));
  EXPECT_TRUE(test::is_same(resample_pil(four.slice(2, 2, 4), 16, 16, "bicubic"),
                            got.slice(2, 2, 4).contiguous()));
}

TEST(Resize, WithoutPilKeepsAtensBytesAndItsOwnRounding) {
  const at::Tensor image = oracle().load("37x53/input");
  Sample sample;
  sample.fields["image"].value = image;
  Transforms("resize_small(20,bicubic)|central_crop(17,16)")(sample, 0);
  const at::Tensor resized =
      at::_upsample_bicubic2d_aa(image.permute({2, 0, 1}).unsqueeze(0), {20, 29}, false)
          .squeeze(0)
          .permute({1, 2, 0});  // 20 * 53 / 37 = 28.6
  EXPECT_TRUE(test::is_same(sample.fields.at("image").value.contiguous(),
                            resized.slice(0, 1, 18).slice(1, 6, 22).contiguous()));
}

TEST(Resize, AThinPictureIsABadSampleByName) {
  const at::Tensor thin = at::zeros({1, 16384, 3}, at::kByte);
  for (const char* text : {"resize_small(248)", "resize_small(248,bicubic,pil)"}) {
    Sample sample;
    sample.fields["image"].value = thin;
    EXPECT_EQ(
        error_of<DataError>([&] {
          Transforms transforms(text);
          transforms(sample, 0);
        }),
        "an image of 1 x 16384 is too thin: resized it has 248 x 4063232 pixels, want at most "
        "67108864");
  }
}

TEST(Exif, TurnsAsPilDoesWhereAsked) {
  int cases = 0;
  for (const auto& [name, entry] : oracle().entries()) {
    if (!name.ends_with("/oriented")) continue;
    const std::string kind = name.substr(0, name.find('/'));
    const auto read = [&](const char* text) {
      const at::Tensor bytes = oracle().load(name);
      Sample sample;
      sample.fields["image"].encoded.assign(bytes.const_data_ptr<uint8_t>(),
                                            bytes.const_data_ptr<uint8_t>() + bytes.numel());
      Transforms transforms(text);
      transforms(sample, 0);
      return sample.fields.at("image").value;
    };
    const at::Tensor want = oracle().load(kind + "/pixels");
    ASSERT_EQ(read("decode(orient)").sizes(), want.sizes()) << kind;
    EXPECT_LE(largest_difference(read("decode(orient)"), want), kind.find("jpeg") == 7 ? 1 : 0);
    EXPECT_EQ(read("decode").sizes(), (at::IntArrayRef{29, 41, 3}));
    ++cases;
  }
  EXPECT_EQ(cases, 13);
}

TEST(Exif, DamagedDataAreUpright) {
  const at::Tensor bytes = oracle().load("turned_jpeg_6/oriented");
  EXPECT_EQ(exif_orientation(bytes_of(bytes)), 6);
  for (int64_t size = 0; size < 60; ++size)
    exif_orientation(bytes_of(bytes.slice(0, 0, size).clone()));
  for (int64_t at = 0; at < 80; ++at) {
    at::Tensor flipped = bytes.clone();
    flipped[at] = flipped[at].bitwise_xor(0xff);
    exif_orientation(bytes_of(flipped));
  }
  EXPECT_EQ(exif_orientation({}), 1);
}

TEST(Gray, EqualsPil) {
  for (const char* size : {"37x53", "64x48", "17x90"})
    EXPECT_TRUE(test::is_same(to_gray(oracle().load(concat(size, "/input"))),
                              oracle().load(concat(size, "/gray"))))
        << size;
}

class Decode : public testing::TestWithParam<std::string> {};

TEST_P(Decode, EqualsPil) {
  const at::Tensor bytes = oracle().load(concat(GetParam(), "/bytes")),
                   want = oracle().load(concat(GetParam(), "/pixels"));
  // PIL carries its own libjpeg-turbo: its inverse transform may differ by a level.
  EXPECT_LE(largest_difference(decode_image(bytes_of(bytes), "x"), want),
            GetParam().starts_with("jpeg") ? 1 : 0);
}

TEST_P(Decode, EveryCutIsRefusedOrWhole) {
  const at::Tensor bytes = oracle().load(concat(GetParam(), "/bytes"));
  for (int64_t size = 0; size < bytes.numel(); size += std::max<int64_t>(1, bytes.numel() / 60)) {
    const at::Tensor cut = bytes.slice(0, 0, size).clone();
    at::Tensor image;
    const std::string text =
        error_of<DataError>([&] { image = decode_image(bytes_of(cut), "cut"); });
    if (image.defined())  // only the end marker was cut off
      EXPECT_TRUE(test::is_same(image, decode_image(bytes_of(bytes), "whole"))) << size;
    else
      EXPECT_NE(text, "(nothing thrown)") << size;
  }
}

TEST_P(Decode, FlippedBytesNeverCrash) {
  const at::Tensor bytes = oracle().load(concat(GetParam(), "/bytes"));
  for (int64_t at = 0; at < bytes.numel(); at += std::max<int64_t>(1, bytes.numel() / 150)) {
    at::Tensor flipped = bytes.clone();
    flipped[at] = flipped[at].bitwise_xor(0xff);
    error_of<DataError>([&] { decode_image(bytes_of(flipped), "flipped"); });
  }
}

std::vector<std::string> kinds() {
  std::vector<std::string> names;
  for (const auto& [name, entry] : oracle().entries())
    if (name.ends_with("/bytes")) names.push_back(name.substr(0, name.find('/')));
  return names;
}

INSTANTIATE_TEST_SUITE_P(Kinds, Decode, testing::ValuesIn(kinds()),
                         [](const auto& kind) { return kind.param; });

void write_big_endian(uint8_t* at, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) at[i] = static_cast<uint8_t>(value >> (8 * (bytes - 1 - i)));
}

at::Tensor png_of(uint32_t width, uint32_t height) {
  at::Tensor png = oracle().load("png/bytes").clone();
  auto* data = png.data_ptr<uint8_t>();
  write_big_endian(data + 16, width, 4);  // IHDR's
  write_big_endian(data + 20, height, 4);
  write_big_endian(data + 29, static_cast<uint32_t>(crc32(0, data + 12, 17)), 4);  // its checksum
  return png;
}

/// kind  "jpeg", whose start of frame is ff c0, or "jpeg_progressive", whose is ff c2
at::Tensor jpeg_of(const std::string& kind, uint32_t width, uint32_t height) {
  at::Tensor jpeg = oracle().load(kind + "/bytes").clone();
  auto* data = jpeg.data_ptr<uint8_t>();
  int64_t frame = 0;  // the start of frame: marker, length, bits, height, width
  while (data[frame] != 0xff || (data[frame + 1] != 0xc0 && data[frame + 1] != 0xc2)) ++frame;
  write_big_endian(data + frame + 5, height, 2);
  write_big_endian(data + frame + 7, width, 2);
  return jpeg;
}

std::string refusal(const at::Tensor& bytes, const std::string& name,
                    int64_t max_pixels = kMaxPixels) {
  return error_of<DataError>([&] { decode_image(bytes_of(bytes), name, max_pixels); });
}

// Before anything of that size is made, and before a progressive JPEG's coefficients are.
TEST(DecodeLimits, TooManyPixelsAreRefusedByTheHeader) {
  const std::string hint =
      " pixels, more than 67108864; where that is no mistake, raise --max-pixels (in a config "
      "data.max_pixels)";
  EXPECT_EQ(refusal(png_of(30'000, 2'400), "a.png"), "a.png is 30000 x 2400" + hint);
  EXPECT_EQ(refusal(jpeg_of("jpeg", 30'000, 2'400), "a.jpg"), "a.jpg is 30000 x 2400" + hint);
  EXPECT_EQ(refusal(jpeg_of("jpeg_progressive", 16'384, 16'384), "a.jpg"),
            "a.jpg is 16384 x 16384" + hint);
}

TEST(DecodeLimits, ASideHasAtMost65535Pixels) {
  EXPECT_EQ(refusal(png_of(65'536, 2), "a.png"),
            "a.png is 65536 x 2 pixels, want 1 to 65535 a side");
}

TEST(DecodeLimits, AreWhatIsAskedFor) {
  const at::Tensor bytes = oracle().load("jpeg_progressive/bytes");
  const at::Tensor image = decode_image(bytes_of(bytes), "a.jpg");
  const int64_t pixels = image.size(0) * image.size(1);
  EXPECT_TRUE(test::is_same(decode_image(bytes_of(bytes), "a.jpg", pixels), image));
  EXPECT_NE(refusal(bytes, "a.jpg", pixels - 1).find(concat(" pixels, more than ", pixels - 1)),
            std::string::npos);
}

TEST(DecodeSample, LetsTheFilesBytesGo) {
  const at::Tensor bytes = oracle().load("png/bytes");
  Sample sample;
  sample.fields["image"].encoded.assign(bytes_of(bytes).begin(), bytes_of(bytes).end());
  Transforms("decode")(sample, 0);
  EXPECT_EQ(sample.fields["image"].encoded.capacity(), 0u);
}

TEST(DecodeLimits, TextNamedJpgAndEmptyFilesAreRefusedByName) {
  const std::string text = "hello, I am text";
  EXPECT_EQ(error_of<DataError>([&] {
              decode_image({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, "a.jpg");
            }),
            "a.jpg is neither JPEG, PNG nor WebP nor BMP nor GIF nor TIFF: its first bytes belong "
            "to none of them");
  EXPECT_EQ(error_of<DataError>([] { decode_image({}, "a.jpg"); }), "a.jpg is empty");
}

at::Tensor transformed(const std::string& text, const at::Tensor& image, uint64_t index = 0,
                       uint64_t seed = 0) {
  Sample sample;
  sample.id = "s";
  sample.fields["image"].value = image;
  Transforms(text, seed)(sample, index);
  return sample.fields.at("image").value;
}

TEST(Transforms, ValueRangeMapsBytesToTheEnds) {
  const at::Tensor image = at::tensor({0, 255, 51}, at::kByte).reshape({1, 3, 1});
  EXPECT_TRUE(at::allclose(transformed("value_range(-1,1)", image).flatten(),
                           at::tensor({-1.0F, 1.0F, -0.6F})));
}

TEST(Transforms, NormalizeIsPerChannel) {
  const at::Tensor image = at::full({1, 1, 3}, 255, at::kByte);
  EXPECT_TRUE(at::allclose(transformed("normalize(0.5,0.25,0,0.5,0.25,2)", image).flatten(),
                           at::tensor({1.0F, 3.0F, 0.5F})));
}

TEST(Transforms, CropsAndResizesHaveTheSizesAsked) {
  const at::Tensor image = oracle().load("37x53/input");
  EXPECT_EQ(transformed("resize(8,12,bicubic)", image).sizes(), (at::IntArrayRef{8, 12, 3}));
  EXPECT_EQ(transformed("resize_small(20)", image).sizes(), (at::IntArrayRef{20, 29, 3}));
  EXPECT_TRUE(test::is_same(transformed("central_crop(5,7)", image).contiguous(),
                            image.slice(0, 16, 21).slice(1, 23, 30).contiguous()));
  EXPECT_EQ(transformed("random_crop(9)", image).sizes(), (at::IntArrayRef{9, 9, 3}));
  EXPECT_EQ(transformed("inception_crop(11)|flip_lr", image).sizes(), (at::IntArrayRef{11, 11, 3}));
}

TEST(Transforms, CropOrPadRoundsHalfToEvenAndFills) {
  const at::Tensor image = oracle().load("37x53/input");
  const auto cropped = [&](const char* text) { return transformed(text, image).contiguous(); };
  // 37 - 34 = 3: 1.5 is 2; 53 - 48 = 5: 2.5 is 2.
  EXPECT_TRUE(test::is_same(cropped("crop_or_pad(34,48)"),
                            image.slice(0, 2, 36).slice(1, 2, 50).contiguous()));
  const at::Tensor padded = cropped("crop_or_pad(40,53,1,2,3)");
  EXPECT_TRUE(test::is_same(padded.slice(0, 1, 38).contiguous(), image));
  EXPECT_TRUE(padded.select(0, 0).equal(at::tensor({1, 2, 3}, at::kByte).expand({53, 3})));
  EXPECT_TRUE(padded.slice(0, 38).equal(at::tensor({1, 2, 3}, at::kByte).expand({2, 53, 3})));
  EXPECT_EQ(cropped("crop_or_pad(50,20)").slice(0, 0, 6).max().item<int64_t>(), 0);
  EXPECT_EQ(error_of<DataError>([&] { cropped("crop_or_pad(50,60,1,2)"); }),
            "crop_or_pad has 2 colours, the image has 3 channels");
}

TEST(Transforms, TrainingCropsTakeAHeightAndAWidth) {
  const at::Tensor image = oracle().load("37x53/input");
  EXPECT_EQ(transformed("inception_crop(8,12,5,100)", image).sizes(), (at::IntArrayRef{8, 12, 3}));
  EXPECT_EQ(transformed("inception_crop(8,50)", image).sizes(), (at::IntArrayRef{8, 8, 3}));
  EXPECT_TRUE(test::is_same(transformed("inception_crop(8,8,30,60)", image, 3),
                            transformed("inception_crop(8,30,60)", image, 3)));
}

TEST(Transforms, GrayOfScaledPixelsIsTheirLuma) {
  const at::Tensor image = oracle().load("37x53/input");
  const at::Tensor before = transformed("gray|value_range(-1,1)", image),
                   after = transformed("value_range(-1,1)|gray", image);
  // The integer form rounds to half a level of 127.5 a unit.
  EXPECT_LE((before - after).abs().max().item<float>(), 0.51 / 127.5);
  EXPECT_TRUE(test::is_same(transformed("value_range(-1,1)|random_gray(100)", image),
                            after.expand({-1, -1, 3}).contiguous()));
}

TEST(Transforms, DrawsAreKeyedBySeedIndexAndOperation) {
  const at::Tensor image = oracle().load("37x53/input");
  const std::string text = "inception_crop(16)|flip_lr";
  EXPECT_TRUE(test::is_same(transformed(text, image, 5, 1), transformed(text, image, 5, 1)));
  EXPECT_FALSE(test::is_same(transformed(text, image, 5, 1), transformed(text, image, 6, 1)));
  EXPECT_FALSE(test::is_same(transformed(text, image, 5, 1), transformed(text, image, 5, 2)));
}

TEST(Transforms, FlipTurnsHalfOfTheSamples) {
  const at::Tensor image = at::arange(2, at::kByte).reshape({1, 2, 1});
  int64_t flips = 0;
  for (uint64_t i = 0; i < 1000; ++i)
    flips += transformed("flip_lr", image, i).flatten()[0].item<int64_t>();
  EXPECT_NEAR(static_cast<double>(flips), 500, 80);  // 5 standard deviations
}

TEST(InceptionBox, StaysInsideWithAreaAndAspect) {
  for (uint64_t i = 0; i < 500; ++i) {
    const CounterRng rng(i, "box", "");
    const CropBox box = inception_box(37, 53, 0.3, 0.6, [&](uint64_t k) { return rng.uniform(k); });
    EXPECT_GE(box.top, 0);
    EXPECT_LE(box.left + box.width, 53);
    EXPECT_LE(box.top + box.height, 37);
    const double area = static_cast<double>(box.height * box.width) / (37.0 * 53.0);
    EXPECT_TRUE((area > 0.27 && area < 0.64) || area == 1) << area;
  }
}

TEST(Transforms, OtherKeysAreReadAndWritten) {
  Sample sample;
  sample.fields["image"].value = at::full({2, 2, 1}, 255, at::kByte);
  Transforms(R"(value_range(0,1,inkey="image",outkey="copy"))")(sample, 0);
  EXPECT_EQ(sample.fields.at("copy").value.max().item<float>(), 1);
  EXPECT_EQ(sample.fields.at("image").value.scalar_type(), at::kByte);
}

TEST(Transforms, MistakesAreNamed) {
  const auto refusal = [](const char* text) {
    return error_of<UsageError>([&] { Transforms transforms(text); });
  };
  EXPECT_EQ(refusal("resize(3,lanczos)"),
            "preprocessing: resize knows the methods bilinear and bicubic, got 'lanczos'; PIL's is "
            "'lanczos,pil'");
  EXPECT_EQ(
      refusal("resize(3,random,pil)"),
      "preprocessing: resize knows PIL's methods nearest, box, bilinear, hamming, bicubic and "
      "lanczos, got 'random'");
  EXPECT_EQ(refusal("decode(orients)"),
            "preprocessing: decode knows the word orient, got 'orients'");
  EXPECT_EQ(refusal("crop_or_pad(3,3,256)"),
            "preprocessing: crop_or_pad wants colours of 0 to 255, got 256");
  EXPECT_NE(error_of<UsageError>([] {
              Transforms("resize_smal(3)");
            }).find("did you mean 'resize_small'?"),
            std::string::npos);
  EXPECT_NE(
      error_of<UsageError>([] { Transforms("resize(3"); }).find("lacks its closing parenthesis"),
      std::string::npos);
  EXPECT_NE(error_of<UsageError>([] {
              Transforms("resize(x)");
            }).find("resize wants a size as argument 1, got 'x'"),
            std::string::npos);
  EXPECT_NE(
      error_of<UsageError>([] { Transforms("flip_lr(3)"); }).find("takes at most 0 arguments"),
      std::string::npos);
  EXPECT_NE(error_of<UsageError>([] { Transforms(""); }).find("preprocessing is empty"),
            std::string::npos);
  EXPECT_NE(error_of<DataError>([] {
              transformed("central_crop(9)", at::zeros({4, 4, 1}, at::kByte));
            }).find("does not fit an image of 4 x 4"),
            std::string::npos);
}

TEST(Transforms, RandomGrayAndInvertActOnTheirShareOfTheSamples) {
  const at::Tensor image = at::tensor({10, 200, 30}, at::kByte).view({1, 1, 3});
  const auto count = [&](const std::string& text, const at::Tensor& want) {
    const Transforms transforms(text, /*seed=*/2);
    int changed = 0;
    for (uint64_t i = 0; i < 400; ++i) {
      Sample sample;
      sample.fields["image"].value = image;
      transforms(sample, i);
      const at::Tensor& got = sample.fields.at("image").value;
      if (got.equal(want))
        ++changed;
      else
        EXPECT_TRUE(got.equal(image));
    }
    return changed;
  };
  // 0.299 * 10 + 0.587 * 200 + 0.114 * 30 = 123.8. 400 draws of 30 % have a deviation of 9.
  EXPECT_NEAR(count("random_gray(30)", at::tensor({124, 124, 124}, at::kByte).view({1, 1, 3})), 120,
              36);
  EXPECT_NEAR(count("random_invert(30)", at::tensor({245, 55, 225}, at::kByte).view({1, 1, 3})),
              120, 36);
  EXPECT_EQ(count("random_invert(0)", at::zeros({1})), 0);
  Sample scaled;
  scaled.fields["image"].value = image.to(at::kFloat);
  EXPECT_NE(test::error_of<DataError>([&] {
              Transforms("random_invert(100)")(scaled, 0);
            }).find("put it before value_range"),
            std::string::npos);
  EXPECT_NE(
      test::error_of<UsageError>([] { Transforms("random_gray(130)"); }).find("0 to 100 percent"),
      std::string::npos);
}

}  // namespace
}  // namespace vit22b
