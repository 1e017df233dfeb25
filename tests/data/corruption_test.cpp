#include "data/corruptions/corruption.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "checkpoint/container/safetensors_file.h"
#include "core/error.h"
#include "data/corrupted_source.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::error_of;

/// By make_corruptions.py, which says what each tensor is.
std::map<std::string, at::Tensor> oracle() {
  const SafetensorsFile file(test::source_path("tests/oracle/corruptions.safetensors"));
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, entry] : file.entries()) tensors[name] = file.load(name);
  return tensors;
}

bool is_random(const at::Tensor& of_oracle) {
  return of_oracle.scalar_type() == at::kDouble;
}

std::pair<std::string, int64_t> name_and_severity(const std::string& key) {
  const size_t dot = key.rfind('.');
  return {key.substr(0, dot), std::stoll(key.substr(dot + 1))};
}

// Bytes are cut off: in areas of one colour the last bit of the arithmetic decides which of two.
TEST(Corruption, EqualsThePythonPackageWhereNothingIsRandom) {
  const auto all = oracle();
  int64_t compared = 0;
  for (const auto& [key, want] : all) {
    if (key.starts_with("picture") || is_random(want)) continue;
    const auto [name, severity] = name_and_severity(key);
    const at::Tensor got = corrupted(all.at("picture"), name, severity, 0);
    const at::Tensor difference = (got.to(at::kInt) - want.to(at::kInt)).abs();
    EXPECT_LE(difference.max().item<int>(), 1) << key;
    EXPECT_LE(difference.gt(0).to(at::kDouble).mean().item<double>(), 0.25) << key;
    ++compared;
  }
  EXPECT_EQ(compared, 24);
}

// log10 of the mean power in rings of frequencies, in periods a pixel.
at::Tensor spectrum_of(const at::Tensor& difference_HWC) {
  constexpr double kRings[] = {0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.71};
  const int64_t height = difference_HWC.size(0), width = difference_HWC.size(1);
  const at::Tensor power =
      at::fft_fft2(difference_HWC, std::nullopt, {0, 1}).abs().square().mean(2) /
      static_cast<double>(height * width);
  const at::Tensor down = at::fft_fftfreq(height, 1, at::kDouble).unsqueeze(1),
                   across = at::fft_fftfreq(width, 1, at::kDouble).unsqueeze(0);
  const at::Tensor radius = at::hypot(down, across);
  std::vector<at::Tensor> rings;
  for (size_t i = 0; i + 1 < std::size(kRings); ++i)
    rings.push_back(at::log10(
        power.masked_select(radius.ge(kRings[i]).logical_and(radius.lt(kRings[i + 1]))).mean() +
        1e-12));
  return at::stack(rings);
}

// Mean, deviation, mean difference of neighbours across and down, spectrum of what was changed.
at::Tensor numbers_of(const at::Tensor& image_HWC, const at::Tensor& clean_HWC) {
  const at::Tensor v = image_HWC.to(at::kDouble) / 255, clean = clean_HWC.to(at::kDouble) / 255;
  const at::Tensor plain = at::stack(
      {v.mean(), v.std(/*unbiased=*/false), v.diff(1, 1).abs().mean(), v.diff(1, 0).abs().mean()});
  return at::cat({plain, spectrum_of(v - clean)});
}

// Each number's mean over draws lies within four deviations of the difference of two such means,
// and a hundredth of its size, of the package's.
TEST(Corruption, HasThePythonPackagesStatisticsWhereSomethingIsRandom) {
  constexpr int kDraws = 8, kDrawsThere = 40, kDrawsOfGlass = 8;
  const auto all = oracle();
  int64_t compared = 0;
  for (const auto& [key, want] : all) {
    if (!is_random(want)) continue;
    const auto [name, severity] = name_and_severity(key);
    std::vector<at::Tensor> drawn;
    for (uint64_t draw = 0; draw < kDraws; ++draw)
      drawn.push_back(
          numbers_of(corrupted(all.at("picture224"), name, severity, draw), all.at("picture224")));
    const at::Tensor mean = at::stack(drawn).mean(0);
    const double there = name == "glass_blur" ? kDrawsOfGlass : kDrawsThere;
    const at::Tensor bound =
        4 * want[1] * std::sqrt(1.0 / kDraws + 1 / there) + 0.01 * want[0].abs() + 2e-4;
    EXPECT_TRUE((mean - want[0]).abs().le(bound).all().item<bool>())
        << key << ": " << mean << " want " << want[0] << " within " << bound;
    ++compared;
  }
  EXPECT_EQ(compared, 30);
}

TEST(Corruption, TheSameNumberGivesTheSamePicture) {
  const at::Tensor picture = oracle().at("picture");
  for (const auto& [name, group] : corruptions()) {
    const at::Tensor once = corrupted(picture, name, 3, 5);
    EXPECT_TRUE(at::equal(once, corrupted(picture, name, 3, 5))) << name;
    EXPECT_EQ(once.sizes(), picture.sizes()) << name;
    EXPECT_FALSE(at::equal(once, picture)) << name;
  }
}

TEST(Corruption, StrongerIsFurtherFromThePicture) {
  const at::Tensor picture = oracle().at("picture224").to(at::kDouble);
  for (const auto& [name, group] : corruptions()) {
    // ImageNet-C's constants saturate less before they saturate more, and the largest blocks fit
    // the squares of this picture.
    if (name == "saturate" || name == "pixelate") continue;
    const auto distance = [&](int64_t severity) {
      return (corrupted(oracle().at("picture224"), name, severity, 1).to(at::kDouble) - picture)
          .abs()
          .mean()
          .item<double>();
    };
    EXPECT_GT(distance(5), distance(1)) << name;
  }
}

TEST(Corruption, SmallestPicturesAndOddOnes) {
  const at::Tensor picture = oracle().at("picture");
  for (const auto& [name, group] : corruptions())
    for (const auto& [height, width] : {std::pair{8, 8}, {9, 64}, {61, 13}})
      EXPECT_EQ(corrupted(picture.slice(0, 0, height).slice(1, 0, width), name, 5, 2).sizes(),
                (std::vector<int64_t>{height, width, 3}))
          << name;
}

// What is the same for every colour is the same for grey.
TEST(Corruption, GreyPicturesAreSpoiltAsColouredOnesAre) {
  const at::Tensor grey = oracle().at("picture").slice(2, 0, 1),
                   coloured = grey.expand({grey.size(0), grey.size(1), 3});
  for (const auto& [name, group] : corruptions()) {
    const at::Tensor one = corrupted(grey, name, 4, 3);
    EXPECT_EQ(one.sizes(), grey.sizes()) << name;
    if (group == "noise" || group == "extra" || name == "frost" || name == "jpeg_compression")
      continue;
    const at::Tensor three = corrupted(coloured, name, 4, 3);
    EXPECT_LE((three.slice(2, 0, 1).to(at::kInt) - one.to(at::kInt)).abs().max().item<int>(), 1)
        << name;
  }
}

TEST(Corruption, NamesWhatIsWrong) {
  const at::Tensor picture = oracle().at("picture");
  EXPECT_NE(error_of<UsageError>([&] {
              corrupted(picture, "gausian_noise", 1, 0);
            }).find("did you mean 'gaussian_noise'?"),
            std::string::npos);
  EXPECT_NE(error_of<UsageError>([&] { corrupted(picture, "fog", 6, 0); }).find("want 1 to 5"),
            std::string::npos);
  EXPECT_NE(error_of<DataError>([&] {
              corrupted(picture.slice(0, 0, 7), "fog", 1, 0);
            }).find("7 x 64 pixels is too small"),
            std::string::npos);
}

/// A picture of one size.
class OneOf : public DataSource {
 public:
  OneOf(int64_t height, int64_t width) : height_(height), width_(width) {}
  int64_t size() const override { return 1; }
  Sample read(int64_t) const override {
    Sample sample;
    sample.id = "thin.png";
    sample.fields[kImageField].value = at::full({height_, width_, 3}, 99, at::kByte);
    return sample;
  }
  int64_t label(int64_t) const override { return 0; }
  const std::vector<std::string>& label_names() const override { return names_; }
  std::string fingerprint() const override { return "one of"; }

 private:
  int64_t height_, width_;
  std::vector<std::string> names_ = {"a"};
};

TEST(CorruptedSource, WhatWouldBecomeTooLargeIsABadSample) {
  const auto spoilt = make_corrupted(std::make_shared<const OneOf>(1, 2000), "fog", 1, 0);
  EXPECT_NE(error_of<DataError>([&] {
              spoilt->read(0);
            }).find("thin.png is 2000 x 1 pixels, and would be corrupted at 448000 x 224"),
            std::string::npos);
  // Clouds of a wide one repeat.
  EXPECT_EQ(make_corrupted(std::make_shared<const OneOf>(224, 5000), "fog", 1, 0)
                ->read(0)
                .fields.at(kImageField)
                .value.size(1),
            5000);
}

/// One grey picture of 28 x 28.
class OneGrey : public DataSource {
 public:
  int64_t size() const override { return 2; }
  Sample read(int64_t index) const override {
    Sample sample;
    sample.index = index;
    sample.label = 0;
    sample.fields[kImageField].value =
        (at::arange(784, at::kInt).remainder(251)).to(at::kByte).view({28, 28, 1});
    return sample;
  }
  int64_t label(int64_t) const override { return 0; }
  const std::vector<std::string>& label_names() const override { return names_; }
  std::string fingerprint() const override { return "one"; }

 private:
  std::vector<std::string> names_ = {"a"};
};

TEST(CorruptedSource, SmallGreyPicturesStaySmallAndGrey) {
  const auto clean = std::make_shared<const OneGrey>();
  const auto spoilt = make_corrupted(clean, "gaussian_noise", 5, 0);
  const at::Tensor first = spoilt->read(0).fields.at(kImageField).value,
                   second = spoilt->read(1).fields.at(kImageField).value;
  EXPECT_EQ(first.sizes(), (std::vector<int64_t>{28, 28, 1}));
  EXPECT_EQ(first.scalar_type(), at::kByte);
  EXPECT_FALSE(at::equal(first, second));  // a draw of its own
  EXPECT_TRUE(at::equal(first, spoilt->read(0).fields.at(kImageField).value));
  EXPECT_FALSE(at::equal(
      first, make_corrupted(clean, "gaussian_noise", 5, 1)->read(0).fields.at(kImageField).value));
  EXPECT_NE(spoilt->fingerprint(), clean->fingerprint());
  EXPECT_THROW(make_corrupted(clean, "gaussian_noise", 0, 0), UsageError);
}

}  // namespace
}  // namespace vit22b
