#include "data/sources/image_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/error.h"
#include "data/overlap.h"
#include "data/sources/picture_walk.h"
#include "support/files.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;
using test::write_file;
using Names = std::vector<std::string>;

/// Makes files of a few bytes, each its own name.
void make_files(const TempFolder& folder, const Names& files) {
  for (const std::string& file : files) write_file(folder / file, file);
}

Names files_of(const DataSource& source, const fs::path& root) {
  Names files;
  for (int64_t i = 0; i < source.size(); ++i)
    files.push_back(fs::path(source.read(i).id).lexically_relative(root).string());
  return files;
}

TEST(ImageFolder, ReadsBelowTheClassInTorchvisionsOrder) {
  const TempFolder root;
  make_files(root, {"ox/z.png", "ox/sub/a.JPG", "ox/sub-b/b.bmp", "ox/sub/deep/c.tif", "cat/1.webp",
                    "cat/.hidden.png", "cat/notes.txt", ".git/x/y.png", "loose.png"});
  const auto source = open_image_folder(root.path(), "train");
  EXPECT_EQ(source->label_names(), (Names{"cat", "ox"}));
  // sorted(os.walk(folder)): "ox/sub-b" < "ox/sub/deep", by whole names.
  EXPECT_EQ(files_of(*source, root.path()), (Names{"cat/1.webp", "ox/z.png", "ox/sub/a.JPG",
                                                   "ox/sub-b/b.bmp", "ox/sub/deep/c.tif"}));
  EXPECT_EQ(source->label(0), 0);
  EXPECT_EQ(source->label(4), 1);
}

TEST(ImageFolder, PassesOverWhatIsNoPictureAndCountsItByEnding) {
  const TempFolder root;
  make_files(root, {"a/1.png", "a/1.txt", "a/2.txt", "a/README", "a/.DS_Store"});
  fs::create_symlink("nowhere", root / "a/broken.png");
  ASSERT_EQ(mkfifo((root / "a/pipe.jpg").c_str(), 0600), 0);
  FoundPictures found;
  find_pictures((root / "a").string(), found);
  EXPECT_EQ(found.files, Names{(root / "a/1.png").string()});
  EXPECT_EQ(found.passed_over,
            (std::map<std::string, int64_t>{{"", 1}, {".txt", 2}, {"no regular file", 2}}));
}

TEST(ImageFolder, FollowsLinksThatDoNotLeadBackUp) {
  const TempFolder root, elsewhere;
  make_files(elsewhere, {"far.png"});
  make_files(root, {"a/near.png", "b/x.png"});
  fs::create_directory_symlink(elsewhere.path(), root / "a/linked");
  fs::create_directory_symlink("..", root / "a/up");  // would give b's picture the label a
  fs::create_symlink("loop", root / "loop");
  EXPECT_EQ(files_of(*open_image_folder(root.path(), "train"), root.path()),
            (Names{"a/near.png", "a/linked/far.png", "b/x.png"}));
}

TEST(ImageFolder, WithoutSplitFoldersIsTrainAlone) {
  const TempFolder root;
  make_files(root, {"cat/1.png", "ox/1.png"});
  EXPECT_EQ(splits_of(root.path().string()), Names{"train"});
  EXPECT_EQ(
      error_of<DataError>([&] { open_image_folder(root.path(), "test"); }),
      root.path().string() +
          " has no split 'test': all of it is 'train'; give another source, or make a test of "
          "it with --test-part 20% or --folds 5, in training with data.val=10%");
}

TEST(ImageFolder, ASplitThatIsNotThereIsRefusedWithThoseThatAre) {
  const TempFolder root;
  make_files(root, {"train/cat/1.png", "val/cat/1.png", "docs/notes.txt"});
  EXPECT_EQ(splits_of(root.path().string()), (Names{"train", "val"}));
  EXPECT_EQ(error_of<DataError>([&] { open_image_folder(root.path(), "vla"); }),
            root.path().string() + " has no split 'vla'; it has train, val (did you mean 'val'?)");
}

TEST(ImageFolder, AClassCalledLikeASplitIsAClass) {
  const TempFolder root;
  make_files(root, {"bus/1.png", "car/1.png", "train/1.png"});
  EXPECT_EQ(open_image_folder(root.path(), "train")->label_names(), (Names{"bus", "car", "train"}));
}

TEST(ImageFolder, AFolderWithTheSplitsClassesIsASplitWhateverItsName) {
  const TempFolder root;
  make_files(root, {"train/cat/1.png", "train/ox/1.png", "full/ox/1.png"});
  EXPECT_EQ(splits_of(root.path().string()), (Names{"full", "train"}));
  EXPECT_EQ(open_image_folder(root.path(), "full")->label_names(), Names{"ox"});
}

TEST(ImageFolder, WhatCannotBeToldIsAskedFor) {
  const TempFolder root;
  make_files(root, {"bus/red/1.png", "train/steam/1.png"});
  const std::string text = error_of<DataError>([&] { open_image_folder(root.path(), "train"); });
  EXPECT_EQ(text, root.path().string() +
                      " has folders called like splits (train) beside others (bus); say whether "
                      "they are splits: --split-folders yes or no, data.split_folders in a config");
  EXPECT_EQ(open_image_folder(root.path(), "train", {.split_folders = "no"})->label_names(),
            (Names{"bus", "train"}));
  EXPECT_EQ(open_image_folder(root.path(), "train", {.split_folders = "yes"})->label_names(),
            Names{"steam"});
}

TEST(ImageFolder, AClassWithoutPicturesIsRefusedOrSaid) {
  const TempFolder root;
  make_files(root, {"cat/1.png", "ox/notes.txt", "pig/1.png"});
  EXPECT_EQ(
      error_of<DataError>([&] { open_image_folder(root.path(), "train", {.allow_empty = false}); }),
      root.path().string() +
          ": no picture in the class folders ox; remove them, or keep them as classes: "
          "data.allow_empty=true");
  const auto source = open_image_folder(root.path(), "train");
  EXPECT_EQ(source->label_names(), (Names{"cat", "ox", "pig"}));
  EXPECT_EQ(source->label(1), 2);
}

TEST(ImageFolder, ANameThatIsNotUtf8IsRefusedNamingTheFolder) {
  const TempFolder root;
  make_files(root, {"caf\xe9/1.png", "tea/1.png"});
  EXPECT_EQ(error_of<DataError>([&] { open_image_folder(root.path(), "train"); }),
            root.path().string() +
                ": the class name 'caf\\xe9' is not UTF-8, which checkpoints and JSON are; rename "
                "it");
}

TEST(ImageFolder, TheFingerprintIsOfPlacePicturesAndClasses) {
  const TempFolder root, elsewhere;
  make_files(root, {"b/1.png"});
  make_files(elsewhere, {"b/1.png"});
  const auto fingerprint = [](const fs::path& folder) {
    return open_image_folder(folder, "train")->fingerprint();
  };
  const std::string before = fingerprint(root.path());
  EXPECT_NE(fingerprint(elsewhere.path()), before);
  fs::create_directory_symlink(root.path(), elsewhere / "link");
  EXPECT_EQ(fingerprint(elsewhere / "link"), before);
  fs::create_directory(root / "a");  // another class takes the first number
  EXPECT_NE(fingerprint(root.path()), before);
}

TEST(Overlap, FindsEqualBytesUnderOtherNames) {
  const TempFolder root;
  make_files(root, {"train/a/1.png", "train/a/2.png", "test/a/3.png"});
  const auto train = open_image_folder(root.path(), "train");
  check_overlap(*train, *open_image_folder(root.path(), "test"));
  write_file(root / "test/a/4.png", "train/a/2.png");
  EXPECT_EQ(
      error_of<DataError>([&] { check_overlap(*train, *open_image_folder(root.path(), "test")); }),
      concat("1 of 2 test pictures are training pictures too, byte for byte, such as ",
             (root / "test/a/4.png").string(), " (", (root / "train/a/2.png").string(),
             "); take them out of one"));
}

}  // namespace
}  // namespace vit22b
