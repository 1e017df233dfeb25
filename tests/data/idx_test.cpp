#include "data/sources/idx.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/error.h"
#include "support/datasets.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::big_endian;
using test::error_of;
using test::TempFolder;
using test::write_file;
using test::write_idx;

TEST(Idx, ReadsFashionMnistAsDebianShipsIt) {
  const std::filesystem::path folder = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "package dataset-fashion-mnist is not installed";
  const auto source = open_source(folder.string(), "test");
  EXPECT_EQ(source->size(), 10'000);
  EXPECT_EQ(source->label_names().at(9), "Ankle boot");
  EXPECT_EQ(source->read(0).label, 9);  // the first test image is an ankle boot
  EXPECT_EQ(source->read(0).fields.at("image").value.sizes(), (at::IntArrayRef{28, 28, 1}));
}

TEST(Idx, ReadsPlainFiles) {
  const TempFolder folder;
  write_idx(folder.path(), "train", 6);
  const auto source = open_idx(folder.path(), "train");
  EXPECT_EQ(source->size(), 6);
  EXPECT_EQ(source->read(5).label, 1);
  EXPECT_EQ(source->label_names(), (std::vector<std::string>{"0", "1", "2", "3"}));
}

// Nobody writes into it: opened as a file is, it would hold the program for ever.
TEST(Idx, APipeIsRefusedWithoutWaiting) {
  const TempFolder folder;
  write_idx(folder.path(), "train", 6);
  const std::string labels = (folder / "train-labels-idx1-ubyte").string();
  std::filesystem::remove(labels);
  ASSERT_EQ(mkfifo(labels.c_str(), 0600), 0);
  EXPECT_EQ(error_of<UserError>([&] { open_idx(folder.path(), "train"); }),
            labels + " is a pipe, not a regular file");
}

TEST(Idx, TruncationIsNamedWithTheMissingBytes) {
  const TempFolder folder;
  write_idx(folder.path(), "train", 6);
  const auto path = folder / "train-images-idx3-ubyte";
  write_file(path, test::read_file(path).substr(0, 16 + 5 * 256));
  EXPECT_EQ(error_of<DataError>([&] { open_idx(folder.path(), "train"); }),
            path.string() + " is cut short or damaged: 256 bytes are missing");
}

TEST(Idx, TruncatedGzipIsRefused) {
  const TempFolder folder;
  const std::filesystem::path source = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(source))
    GTEST_SKIP() << "package dataset-fashion-mnist is not installed";
  std::filesystem::copy(source / "t10k-labels-idx1-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz");
  write_file(folder / "t10k-images-idx3-ubyte.gz",
             test::read_file(source / "t10k-images-idx3-ubyte.gz").substr(0, 100'000));
  EXPECT_NE(
      error_of<DataError>([&] { open_idx(folder.path(), "test"); }).find("is cut short or damaged"),
      std::string::npos);
}

TEST(Idx, WrongMagicExtraBytesAndUnequalCountsAreRefused) {
  const TempFolder folder;
  write_idx(folder.path(), "train", 6);
  const auto images = folder / "train-images-idx3-ubyte",
             labels = folder / "train-labels-idx1-ubyte";
  const std::string good = test::read_file(labels);
  write_file(labels, big_endian(0x803) + good.substr(4));
  EXPECT_NE(error_of<DataError>([&] {
              open_idx(folder.path(), "train");
            }).find("its first word is 2051, want 2049"),
            std::string::npos);
  write_file(labels, good + "x");
  EXPECT_NE(error_of<DataError>([&] {
              open_idx(folder.path(), "train");
            }).find("more bytes than its header announces"),
            std::string::npos);
  write_file(labels, big_endian(0x801) + big_endian(5) + good.substr(8, 5));
  EXPECT_NE(error_of<DataError>([&] { open_idx(folder.path(), "train"); }).find("holds 6 images"),
            std::string::npos);
}

TEST(Idx, AHeaderThatAnnouncesTooMuchIsRefusedBeforeAllocating) {
  const TempFolder folder;
  write_file(folder / "train-labels-idx1-ubyte", big_endian(0x801) + big_endian(1) + "x");
  write_file(folder / "train-images-idx3-ubyte",
             big_endian(0x803) + big_endian(1) + big_endian(0x7fffffff) + big_endian(0x7fffffff));
  EXPECT_NE(error_of<DataError>([&] { open_idx(folder.path(), "train"); }).find("are too many"),
            std::string::npos);
}

TEST(Idx, PixelsThatNoFileOfThatSizeHoldsAreRefusedBeforeAllocating) {
  const TempFolder folder;
  write_file(folder / "train-labels-idx1-ubyte", big_endian(0x801) + big_endian(1) + "x");
  const auto path = folder / "train-images-idx3-ubyte";
  write_file(path, big_endian(0x803) + big_endian(1) + big_endian(65535) + big_endian(65535));
  EXPECT_EQ(error_of<DataError>([&] { open_idx(folder.path(), "train"); }),
            path.string() +
                " is cut short or damaged: its header announces 4294836225 bytes, the file has 16");
}

TEST(Idx, LabelsThatAHeaderAnnouncesAndAreNotThereAreRefusedInLittleMemory) {
  const TempFolder folder;
  write_file(folder / "train-images-idx3-ubyte", big_endian(0x803) + big_endian(1));
  write_file(folder / "train-labels-idx1-ubyte", big_endian(0x801) + big_endian(0xffffffff));
  EXPECT_NE(error_of<DataError>([&] {
              open_idx(folder.path(), "train");
            }).find("1048576 bytes are missing"),  // the first piece
            std::string::npos);
}

TEST(Idx, ClassesAreThoseOfAllSplits) {
  const TempFolder folder;
  write_idx(folder.path(), "train", 8, 5);
  write_idx(folder.path(), "t10k", 8, 2);
  EXPECT_EQ(open_source(folder.path().string(), "test")->label_names().size(), 5U);
  EXPECT_EQ(splits_of(folder.path().string()), (std::vector<std::string>{"test", "train"}));
  EXPECT_EQ(error_of<DataError>([&] { open_source(folder.path().string(), "val"); }),
            folder.path().string() + " has no split 'val'; it has test, train");
}

TEST(Idx, APathThatSaysFashionNamesNoClasses) {
  const TempFolder folder;
  write_idx(folder / "fashionable", "train", 20, 10);
  EXPECT_EQ(open_idx(folder / "fashionable", "train")->label_names().at(9), "9");
}

TEST(OpenSource, SaysWhatIsMissing) {
  const TempFolder folder;
  EXPECT_NE(error_of<DataError>([&] {
              open_source("idx:/nowhere", "train");
            }).find("/nowhere does not exist"),
            std::string::npos);
  EXPECT_NE(error_of<DataError>([&] {
              open_source("idx:" + folder.path().string(), "train");
            }).find("the split 'train' is not in this folder"),
            std::string::npos);
  EXPECT_NE(error_of<DataError>([&] {
              open_source(folder.path().string(), "train");
            }).find("no images in"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
