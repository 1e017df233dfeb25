#include "checkpoint/import/timm_preprocessing.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_file.h"
#include "core/error.h"
#include "data/transforms.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

ViTConfig model_of(int64_t channels, int64_t height, int64_t width) {
  ViTConfig config;
  config.in_chans = channels;
  config.img_size = {height, width};
  return config;
}

TEST(TimmPreprocessing, IsRenderedFromTheTransform) {
  const auto rendered = [](const std::string& operations) {
    return timm_preprocessing("decode|rgb|" + operations, model_of(3, 32, 32)).dump();
  };
  EXPECT_EQ(rendered("resize_small(40)|central_crop(32)|value_range(-1,1)"),
            R"({"interpolation":"bilinear","crop_pct":0.8,"crop_mode":"center",)"
            R"("mean":[0.5,0.5,0.5],"std":[0.5,0.5,0.5]})");
  EXPECT_EQ(rendered("resize(32,bicubic)|value_range(0,1)"),
            R"({"interpolation":"bicubic","crop_pct":1.0,"crop_mode":"squash",)"
            R"("mean":[0.0,0.0,0.0],"std":[1.0,1.0,1.0]})");
  EXPECT_EQ(rendered("resize_small(32)|central_crop(32)|normalize(0.485,0.456,0.406,1,2,4)"),
            R"({"interpolation":"bilinear","crop_pct":1.0,"crop_mode":"center",)"
            R"("mean":[0.485,0.456,0.406],"std":[1.0,2.0,4.0]})");
}

TEST(TimmPreprocessing, WhatTimmHasNoWordsForIsNullAndNoted) {
  const Json other =
      timm_preprocessing("decode|rgb|central_crop(32)|value_range(-1,1)", model_of(3, 32, 32));
  EXPECT_TRUE(other.at("crop_pct").is_null());
  EXPECT_TRUE(other.at("crop_mode").is_null());
  EXPECT_EQ(other.at("mean"), Json({0.5, 0.5, 0.5}));
  EXPECT_EQ(other.at("notes").at(0),
            "timm has no words for the transform 'decode|rgb|central_crop(32)|value_range(-1,1)'; "
            "null stands for what is lost");
  const Json drawn =
      timm_preprocessing("decode|random_crop(8)|value_range(0,1)", model_of(1, 8, 8));
  EXPECT_TRUE(drawn.at("mean").is_null());
  EXPECT_TRUE(drawn.at("interpolation").is_null());
}

TEST(TimmPreprocessing, WhatPretrainedCfgLeavesOutIsTimmsDefault) {
  EXPECT_EQ(timm_pp_eval(Json::parse(R"({"crop_pct":null,"mean":null})"), model_of(3, 224, 224)),
            "decode|rgb|resize_small(256,bicubic,pil)|crop_or_pad(224)|"
            "normalize(0.485,0.456,0.406,0.229,0.224,0.225)");
  EXPECT_EQ(timm_pp_eval(Json::parse(R"({"mean":[0.5,0.5,0.5],"std":[0.25,0.25,0.25]})"),
                         model_of(1, 224, 224)),
            "decode|gray|resize_small(256,bicubic,pil)|crop_or_pad(224)|normalize(0.5,0.25)");
}

TEST(TimmPreprocessing, MeansKeepEveryDigit) {
  const std::string text =
      timm_pp_eval(Json::parse(R"({"crop_pct":1,"mean":[0.48145466,0.4578275,0.40821073],)"
                               R"("std":[0.26862954,0.26130258,0.27577711]})"),
                   model_of(3, 224, 224));
  EXPECT_NE(
      text.find("normalize(0.48145466,0.4578275,0.40821073,0.26862954,0.26130258,0.27577711)"),
      std::string::npos)
      << text;
}

TEST(TimmPreprocessing, WhatIsReadIsWhatIsWritten) {
  for (const char* text :
       {R"({"interpolation":"bicubic","crop_pct":0.9,"crop_mode":"center","mean":[0.5,0.5,0.5],)"
        R"("std":[0.5,0.5,0.5]})",
        R"({"interpolation":"lanczos","crop_pct":0.95,"crop_mode":"squash","mean":[0.1,0.2,0.3],)"
        R"("std":[0.4,0.5,0.6]})",
        R"({"interpolation":"bilinear","crop_pct":1.0,"crop_mode":"border","mean":[0.1,0.2,0.3],)"
        R"("std":[0.4,0.5,0.6]})"})
    for (const int64_t width : {224, 256}) {
      const ViTConfig model = model_of(3, 224, width);
      EXPECT_EQ(timm_preprocessing(timm_pp_eval(Json::parse(text), model), model).dump(), text);
    }
}

TEST(TimmPreprocessing, AnInterpolationWithoutAMeaningIsRefused) {
  EXPECT_EQ(test::error_of<CheckpointError>([] {
              timm_pp_eval(Json::parse(R"({"interpolation":"random"})"), model_of(3, 8, 8));
            }),
            "pretrained_cfg's interpolation is 'random', want nearest, box, bilinear, hamming, "
            "bicubic or lanczos");
}

TEST(TimmPreprocessing, PixelsAreThoseOfCreateTransform) {
  const char* live = std::getenv("VIT22B_IMAGES_ORACLE");  // what make_timm_transforms.py wrote
  const SafetensorsFile oracle(
      (live != nullptr ? std::filesystem::path(live) : test::source_path("tests/oracle")) /
      "timm_transforms.safetensors");
  int cases = 0;
  for (const auto& [name, entry] : oracle.entries()) {
    if (!name.ends_with("/pixels")) continue;
    const std::string number = name.substr(0, name.find('/'));
    const at::Tensor bytes = oracle.load(number + "/config");
    const std::string config(reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()),
                             static_cast<size_t>(bytes.numel()));
    const at::Tensor want = oracle.load(name);
    const std::string text =
        timm_pp_eval(Json::parse(config), model_of(3, want.size(0), want.size(1)));
    Sample sample;
    sample.fields["image"].value = oracle.load(number + "/input");
    const Transforms transforms(text.substr(0, text.rfind('|')));
    transforms(sample, 0);
    EXPECT_TRUE(test::is_same(sample.fields.at("image").value.contiguous(), want))
        << config << text;
    ++cases;
  }
  EXPECT_GE(cases, 70);
}

}  // namespace
}  // namespace vit22b
