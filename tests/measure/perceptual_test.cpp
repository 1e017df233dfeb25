#include "measure/perceptual.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "explain/pictures.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;

TEST(Perceptual, TheNearerPatchEarnsThePeopleWhoTookIt) {
  const at::Tensor first = at::tensor({1.0, 2.0, 3.0}), second = at::tensor({2.0, 1.0, 3.0});
  EXPECT_NEAR(people_who_agree(first, second, {0.25, 0.75, 0.9}).mean().item<double>(),
              (0.75 + 0.75 + 0.5) / 3, 1e-12);
}

TEST(Perceptual, DistanceLooksAtDirectionsOfPatchesAlone) {
  const at::Tensor x = at::tensor({9.0, 9.0, 1.0, 0.0, 0.0, 2.0}).view({1, 3, 2});
  BlockTensors a{{0, x}}, b{{0, x * 5}}, c{{0, x.flip(2)}};
  EXPECT_NEAR(perceptual_distance(a, b, 1).item<double>(), 0, 1e-12);
  EXPECT_NEAR(perceptual_distance(a, c, 1).item<double>(), 2, 1e-9);  // at right angles
  a[1] = a[0], c[1] = c[0];
  EXPECT_NEAR(perceptual_distance(a, c, 1).item<double>(), 4, 1e-9);  // blocks add up
  // A prefix token has no part in it.
  at::Tensor other = x.clone();
  other.select(1, 0).fill_(-3);
  EXPECT_NEAR(perceptual_distance(a, {{0, other}, {1, other}}, 1).item<double>(), 0, 1e-12);
}

TEST(Perceptual, ReadsBappsFoldersAndNamesWhatIsMissing) {
  const TempFolder folder;
  EXPECT_NE(error_of<DataError>([&] { read_two_choices(folder.path()); }).find("as BAPPS has"),
            std::string::npos);
  const auto judge = [&](const at::Tensor& value) {
    test::write_file(folder / "cnn/judge/000.npy", npy_bytes(value));
  };
  for (const char* part : {"ref", "p0", "p1"})
    test::write_file(folder / "cnn" / part / "000.png", "a picture");
  judge(at::full({1}, 0.4F));
  const std::vector<TwoChoices> sets = read_two_choices(folder.path());
  ASSERT_EQ(sets.size(), 1U);
  EXPECT_EQ(sets[0].name, "cnn");
  EXPECT_FLOAT_EQ(sets[0].second_preferred[0], 0.4F);
  judge(at::full({1, 1, 1}, 1.5F));
  EXPECT_NE(
      error_of<DataError>([&] { read_two_choices(folder.path()); }).find("no share of people"),
      std::string::npos);
  judge(at::zeros({2}));
  EXPECT_NE(error_of<DataError>([&] { read_two_choices(folder.path()); }).find("want one number"),
            std::string::npos);
  test::write_file(folder / "cnn/judge/000.npy", "no array");
  EXPECT_THROW(read_two_choices(folder.path()), DataError);
  judge(at::zeros({1}));
  test::write_file(folder / "cnn/p0/001.png", "a picture");
  EXPECT_NE(error_of<DataError>([&] {
              read_two_choices(folder.path());
            }).find("001.png has no reference"),
            std::string::npos);
  std::filesystem::remove(folder / "cnn/p0/001.png");
  std::filesystem::remove(folder / "cnn/p1/000.png");
  EXPECT_NE(error_of<DataError>([&] { read_two_choices(folder.path()); }).find("p1/000.png is not"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
