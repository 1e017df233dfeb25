#include "measure/depth.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "data/depth_values.h"
#include "data/encode.h"
#include "measure/depth_files.h"
#include "support/files.h"
#include "support/zip_archive.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;

constexpr double kMillimetre = 0.001;

/// A PNG of 16 bits.
void write_png(const std::filesystem::path& path, const at::Tensor& values_HW) {
  test::write_file(path, encode_wide_png(values_HW.to(at::kInt)));
}

void write_npy(const std::filesystem::path& path, const at::Tensor& values_HW) {
  const at::Tensor plain = values_HW.to(at::kFloat).contiguous();
  const auto* first = plain.const_data_ptr<float>();
  test::write_file(
      path, test::npy(test::npy_header("<f4", concat("(", plain.size(0), ", ", plain.size(1), ")")),
                      test::bytes_of<float>({first, first + plain.numel()})));
}

at::Tensor grid(const std::vector<float>& values, int64_t rows) {
  return at::tensor(values).reshape({rows, -1});
}

/// Two folders, of what is said and what is.
struct Folders {
  TempFolder said, is;

  Result measured(const DepthProtocol& protocol = {}, double said_step = kMillimetre,
                  double step = kMillimetre) const {
    return measure_depths(said.path(), said_step, is.path(), step, protocol, {});
  }
  std::string refusal(const DepthProtocol& protocol = {}) const {
    return error_of<DataError>([&] { measured(protocol); });
  }
};

TEST(DepthFiles, OfBothKindsSayTheSame) {
  const TempFolder folder;
  const at::Tensor steps = at::tensor({0, 1, 500, 65'535, 2'000, 7}).reshape({2, 3});
  write_png(folder / "a.png", steps);
  write_npy(folder / "b.npy", steps.to(at::kDouble) * kMillimetre);
  const at::Tensor png = read_depth(folder / "a.png", kMillimetre),
                   npy = read_depth(folder / "b.npy", 77);
  EXPECT_TRUE(at::equal(png, npy));
  EXPECT_FLOAT_EQ(png[1][0].item<float>(), 65.535F);
}

TEST(DepthFiles, TakeTheArrayOfANameThatHasBoth) {
  const TempFolder folder;
  std::filesystem::create_directories(folder / "deep");
  write_png(folder / "deep/a.png", at::ones({2, 2}));
  write_npy(folder / "deep/a.npy", at::ones({2, 2}));
  write_png(folder / "b.png", at::ones({2, 2}));
  const auto files = depth_files(folder.path());
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files.at("deep/a"), (folder / "deep/a.npy").string());
}

TEST(DepthFiles, OfFewerBitsOrOtherShapesAreRefusedByName) {
  const TempFolder folder;
  test::write_file(folder / "a.png",
                   encode_png(at::full({2, 2, 1}, 7, at::kByte)));  // eight bits of grey
  const std::string eight = (folder / "a.png").string();
  EXPECT_EQ(error_of<DataError>([&] { read_depth(eight, 1); }),
            eight + " has 8 bits a pixel, which are too few for depths; want a PNG of 16, or .npy");
  const std::string line = (folder / "b.npy").string();
  test::write_file(line,
                   test::npy(test::npy_header("<f4", "(3,)"), test::bytes_of<float>({1, 2, 3})));
  EXPECT_EQ(error_of<DataError>([&] { read_depth(line, 1); }),
            line + " is an array of [3], want [height, width] of at most 67108864 pixels");
  test::write_file(folder / "c.npy", "no array");
  EXPECT_NE(error_of<DataError>([&] { read_depth(folder / "c.npy", 1); }).find("c.npy"),
            std::string::npos);
}

TEST(DepthUnit, IsAWordOrMetresAStep) {
  EXPECT_EQ(depth_step_m("mm"), 0.001);
  EXPECT_EQ(depth_step_m("cm"), 0.01);
  EXPECT_EQ(depth_step_m("m"), 1);
  EXPECT_EQ(depth_step_m("1/256"), 1.0 / 256);
  EXPECT_EQ(depth_step_m("0.0002"), 0.0002);
  for (const char* wrong : {"", "km", "0", "-1", "1/0", "1/", "1/x", "inf", "nan", "2 mm"})
    EXPECT_THROW(depth_step_m(wrong), UsageError) << wrong;
}

TEST(DepthMeasure, SaysMeansOverPicturesAndOverPixels) {
  const Folders folders;
  write_png(folders.is / "a.png", at::full({1, 1}, 1'000));
  write_png(folders.said / "a.png", at::full({1, 1}, 1'500));  // half too far, one pixel
  write_png(folders.is / "b.png", at::full({3, 1}, 2'000));
  write_png(folders.said / "b.png", at::full({3, 1}, 2'000));  // right, three pixels
  const Result result = folders.measured();
  EXPECT_NEAR(result.number("abs_rel.per_image"), 0.25, 1e-6);
  EXPECT_NEAR(result.number("abs_rel.per_pixel"), 0.125, 1e-6);
  EXPECT_NEAR(result.number("rmse.per_image"), 0.25, 1e-6);
  EXPECT_NEAR(result.number("rmse.per_pixel"), 0.25, 1e-6);  // sqrt(0.25 / 4)
  EXPECT_EQ(result.number("num_pixels"), 4);
  EXPECT_EQ(result.number("num_images"), 2);
  EXPECT_EQ(result.tables.front().name, "worst");
  EXPECT_EQ(std::get<std::string>(result.tables.front().rows.front().front()), "a");
}

TEST(DepthMeasure, LeavesOutAndCountsWhatHasNoTruth) {
  const Folders folders;
  write_npy(folders.is / "a.npy", grid({0, 1, NAN, INFINITY}, 2));
  write_npy(folders.said / "a.npy", grid({NAN, 1, NAN, 1}, 2));
  write_npy(folders.is / "b.npy", at::zeros({1, 2}));
  write_npy(folders.said / "b.npy", at::ones({1, 2}));
  const Result result = folders.measured();
  EXPECT_EQ(result.number("num_pixels"), 1);
  EXPECT_EQ(result.number("num_without_truth"), 1);
  EXPECT_EQ(result.number("num_not_finite"), 2);
  EXPECT_EQ(result.number("abs_rel.per_pixel"), 0);
}

TEST(DepthMeasure, BoundsKeepTruthOutAndPredictionsIn) {
  const Folders folders;
  write_npy(folders.is / "a.npy", grid({1, 5, 20, 2}, 1));
  write_npy(folders.said / "a.npy", grid({-3, 50, 1, 2}, 1));
  DepthProtocol protocol;
  protocol.min_depth_m = 0.5;
  protocol.max_depth_m = 10;
  const Result result = folders.measured(protocol);
  EXPECT_EQ(result.number("num_pixels"), 3);
  EXPECT_EQ(result.number("num_not_above_zero"), 1);
  EXPECT_NEAR(result.number("abs_rel.per_pixel"), (0.5 + 1 + 0) / 3, 1e-6);
}

TEST(DepthMeasure, AlignsRelativeDepthsAndInverseOnes) {
  const Folders folders;
  const at::Tensor truth = at::rand({5, 7}) + 1;
  write_npy(folders.is / "a.npy", truth);
  write_npy(folders.said / "a.npy", 3 * truth - 1);
  DepthProtocol protocol;
  protocol.align = "least_squares";
  EXPECT_NEAR(folders.measured(protocol).number("abs_rel.per_pixel"), 0, 1e-5);
  write_npy(folders.said / "a.npy", 5 * truth.reciprocal() + 2);
  protocol.is_inverse = true;
  EXPECT_NEAR(folders.measured(protocol).number("abs_rel.per_pixel"), 0, 1e-5);
  write_npy(folders.said / "a.npy", 7 * truth.reciprocal());
  protocol.align = "median";
  EXPECT_NEAR(folders.measured(protocol).number("abs_rel.per_pixel"), 0, 1e-5);
  protocol.align = "none";  // of metres
  write_npy(folders.said / "a.npy", truth.reciprocal());
  EXPECT_NEAR(folders.measured(protocol).number("abs_rel.per_pixel"), 0, 1e-5);
}

TEST(DepthMeasure, CropsCountThePixelsThatBenchmarksCount) {
  const auto pixels = [](const char* crop, int64_t height, int64_t width) {
    DepthProtocol protocol;
    protocol.crop = crop;
    DepthMeasure measure(protocol);
    measure.add(at::ones({height, width}), at::ones({height, width}), "a", 0);
    return measure.finish(single_process()).number("num_pixels");
  };
  EXPECT_EQ(pixels("nyu_eigen", 480, 640), (471 - 45) * (601 - 41));
  // 375 x 1242: rows 153 to 371, columns 44 to 1197, as int() of Garg's shares gives them.
  EXPECT_EQ(pixels("garg", 375, 1242), (371 - 153) * (1197 - 44));
  EXPECT_EQ(pixels("kitti_eigen", 375, 1242), (342 - 124) * (1197 - 44));
  EXPECT_EQ(error_of<DataError>([&] { pixels("nyu_eigen", 375, 1242); }),
            "a has 375 x 1242 pixels; the crop nyu_eigen is of 480 x 640");
}

TEST(DepthMeasure, RefusesByNameWhatCannotBeCompared) {
  const Folders folders;
  write_npy(folders.is / "a.npy", at::ones({2, 3}));
  EXPECT_EQ(folders.refusal(),
            folders.said.path().string() + " has no depth maps: no .npy and no .png");
  write_npy(folders.said / "b.npy", at::ones({2, 3}));
  EXPECT_EQ(folders.refusal(), (folders.is / "a.npy").string() + " has no prediction in " +
                                   folders.said.path().string() + "; want a.npy or a.png there");
  write_npy(folders.said / "a.npy", at::ones({3, 2}));
  EXPECT_EQ(folders.refusal(),
            "a: the prediction has 3 x 2 pixels, the truth 2 x 3; both have to be of one size");
  write_npy(folders.said / "a.npy", grid({1, 1, NAN, 1, INFINITY, 1}, 2));
  EXPECT_EQ(folders.refusal(),
            "a: the prediction is no number at row 0, column 2, and at 1 more pixels that count");
  write_npy(folders.said / "a.npy", at::ones({2, 3}));
  DepthProtocol protocol;
  protocol.align = "least_squares";
  // One depth everywhere determines no scale and shift.
  EXPECT_NE(folders.refusal(protocol).find("none of 1 depth maps has a pixel that counts"),
            std::string::npos);
  write_npy(folders.is / "a.npy", grid({1, 2, 3, 4, 5, 6}, 2));
  EXPECT_EQ(folders.refusal(protocol),
            "a: the prediction says nothing that can be aligned to the truth by least_squares; it "
            "is the same everywhere, or 0");
  write_npy(folders.is / "a.npy", at::zeros({2, 3}));
  EXPECT_EQ(folders.refusal(),
            "none of 1 depth maps has a pixel that counts, the first is a; look at the unit, at "
            "the bounds of depth and at the crop");
}

TEST(DepthMeasure, WarnsOfDepthsThatAreOfAnotherUnit) {
  const Folders folders;
  write_npy(folders.is / "a.npy", at::full({4, 4}, 2'000));  // millimetres
  write_npy(folders.said / "a.npy", at::full({4, 4}, 2));
  testing::internal::CaptureStderr();
  folders.measured();
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("half of the truth is beyond 2000 m, which no camera's pictures are; is it "
                      "of another unit?"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("predictions are 0.001 times the truth; are they of another unit, or "
                      "relative?"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace vit22b
