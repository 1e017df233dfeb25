#include "data/preprocessing.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "support/files.h"

namespace vit22b {
namespace {

TEST(Preprocessing, PlainTransformsComeBackAsTheSameText) {
  for (const char* text :
       {"decode|rgb|resize_small(248,bicubic)|central_crop(224)|value_range(-1,1)",
        "decode|gray|resize(28)|value_range(-1,1)", "decode|value_range(0,1)",
        "decode(orient)|rgb|resize(12,20,bicubic)|normalize(0.5,0.25)",
        "decode|rgb|resize_small(256,bicubic,pil)|crop_or_pad(224)|"
        "normalize(0.48145466,0.4578275,0.40821073,0.26862954,0.26130258,0.27577711)",
        "decode|rgb|resize_cover(26,40,bilinear,pil)|crop_or_pad(24,36)|value_range(-0.3,0.7)",
        "decode|rgb|resize_multiple(518,518,14,bicubic,pil)|normalize(0.4,0.2)",
        "decode|rgb|resize_fit(40,bicubic,pil)|crop_or_pad(32,32,124,116,104)|value_range(0.1,0.8)",
        "decode|rgb|central_crop(5,7)|value_range(-2,3)"}) {
    const auto parsed = parse_preprocessing(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->text(), text);
  }
}

TEST(Preprocessing, OtherTransformsAreNotTakenForPlainOnes) {
  for (const char* text :
       {"", "decode", "decode|rgb", "rgb|value_range(-1,1)", "decode|flip_lr|value_range(-1,1)",
        "decode|inception_crop(24)|value_range(-1,1)", "decode|value_range(-1,1)|gray",
        "decode|central_crop(8)|resize(9)|value_range(-1,1)", "decode|value_range(1,-1)",
        "decode|normalize(1,2,3)", "decode|normalize(0.5,0)", "decode|resize(3|value_range(-1,1)",
        "decode|value_range(-1,1,outkey=\"x\")", "decode|resize(9,bicubic,pol)|value_range(-1,1)"})
    EXPECT_FALSE(parse_preprocessing(text)) << text;
}

TEST(Preprocessing, MeanAndStddevAreThoseOfTheRange) {
  const auto range = parse_preprocessing("decode|value_range(0,255)");
  EXPECT_EQ(range->mean, std::vector<double>{0});
  EXPECT_EQ(range->stddev, std::vector<double>{1.0 / 255});
  EXPECT_EQ(parse_preprocessing("decode|value_range(-1,1)")->mean, std::vector<double>{0.5});
  EXPECT_EQ(parse_preprocessing("decode|normalize(1,2,3,4,5,6)")->stddev,
            (std::vector<double>{4, 5, 6}));
}

double crop_pct(const std::string& operations) {
  return parse_preprocessing("decode|" + operations + "|value_range(-1,1)")->crop_pct().value_or(0);
}

TEST(Preprocessing, CropPctGivesTheResizedSidesBack) {
  EXPECT_EQ(crop_pct("resize(32)"), 1);
  EXPECT_EQ(crop_pct("resize_small(20)|central_crop(16)"), 0.8);
  EXPECT_EQ(crop_pct("resize_small(36)|central_crop(32)"), 32.0 / 36);
  EXPECT_EQ(crop_pct("resize_small(248,bicubic,pil)|crop_or_pad(224)"), 0.9);
  EXPECT_EQ(crop_pct("resize_small(232,bicubic,pil)|crop_or_pad(224)"), 0.965);
  EXPECT_EQ(crop_pct("resize_small(224,bicubic,pil)|crop_or_pad(224)"), 1);
  EXPECT_EQ(crop_pct("resize_cover(26,40,bicubic,pil)|crop_or_pad(24,36)"), 0.9);
  EXPECT_EQ(crop_pct("resize_cover(26,80,bicubic,pil)|crop_or_pad(24,36)"), 0);  // none does both
  EXPECT_EQ(crop_pct("central_crop(16)"), 0);
  for (int side = 1; side < 400; ++side) {
    const double pct = crop_pct(concat("resize_small(", side, ")|central_crop(224)"));
    EXPECT_EQ(std::floor(224 / pct), side);
  }
}

TEST(Preprocessing, CropModeIsTimmsOrNone) {
  const auto mode = [](const std::string& operations) {
    return parse_preprocessing("decode|rgb|" + operations + "|normalize(0.1,0.2,0.3,1,1,1)")
        ->crop_mode()
        .value_or("");
  };
  EXPECT_EQ(mode("resize(32)"), "squash");
  EXPECT_EQ(mode("resize_small(36)|central_crop(32)"), "center");
  EXPECT_EQ(crop_pct("resize_small(36)|central_crop(32,40)"), 0);  // timm would cover 36 x 45
  EXPECT_EQ(mode("resize_cover(36,40,bicubic,pil)|crop_or_pad(32,36)"), "center");
  EXPECT_EQ(mode("resize_fit(32,bicubic,pil)|crop_or_pad(32,32,26,51,76)"), "border");
  EXPECT_EQ(mode("resize_fit(32,bicubic,pil)|crop_or_pad(32)"), "");
}

TEST(Preprocessing, AnotherSizeKeepsCropPct) {
  auto p = *parse_preprocessing(
      "decode|rgb|resize_small(248,bicubic,pil)|crop_or_pad(224)|value_range(-1,1)");
  p.set_size(384, 384);
  EXPECT_EQ(p.text(),
            "decode|rgb|resize_small(426,bicubic,pil)|crop_or_pad(384)|value_range(-1,1)");
  p.set_size(24, 36);
  EXPECT_EQ(p.text(),
            "decode|rgb|resize_cover(26,40,bicubic,pil)|crop_or_pad(24,36)|value_range(-1,1)");
  p.set_crop_pct(1);
  EXPECT_EQ(p.text(),
            "decode|rgb|resize_cover(24,36,bicubic,pil)|crop_or_pad(24,36)|value_range(-1,1)");
  auto plain = *parse_preprocessing("decode|value_range(-1,1)");
  plain.set_size(32, 32);
  EXPECT_EQ(plain.text(), "decode|resize(32)|value_range(-1,1)");
  plain.set_crop_pct(0.5);
  EXPECT_EQ(plain.text(), "decode|resize(64)|central_crop(32)|value_range(-1,1)");
}

TEST(Preprocessing, ChangesThatHaveNoMeaningAreRefused) {
  auto p = *parse_preprocessing("decode|central_crop(16)|value_range(-1,1)");
  EXPECT_EQ(test::error_of<UsageError>([&] { p.set_size(3, 3); }),
            "preprocessing: 'decode|central_crop(16)|value_range(-1,1)' says no crop_pct to keep "
            "for another size");
  EXPECT_EQ(test::error_of<UsageError>([&] { p.set_crop_pct(0); }),
            "preprocessing: a crop_pct of 0, want above 0 and at most 10");
  EXPECT_NE(test::error_of<UsageError>([&] { p.set_crop_pct(0.5); }).find("resizes to no size"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
