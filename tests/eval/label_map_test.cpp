#include "eval/label_map.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "data/class_names.h"
#include "eval/class_map.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::error_of;
using Classes = std::vector<int64_t>;
using Names = std::vector<std::string>;

DataClasses data_of(const Names& names, std::vector<bool> has_samples = {}) {
  if (has_samples.empty()) has_samples.resize(names.size(), true);
  return {names, std::move(has_samples), "the data"};
}

KnownClasses model_of(const Names& names) {
  return {static_cast<int64_t>(names.size()), names, {}, "the model", "; see FILE"};
}

TEST(LabelMap, MatchesByName) {
  const LabelMap map = label_map(data_of({"bee", "cat"}), model_of({"ant", "bee", "cat"}));
  EXPECT_EQ(map.classes, (Classes{1, 2}));
  EXPECT_EQ(map.by, "name");
}

TEST(LabelMap, AClassThatTheModelLacksIsNamed) {
  EXPECT_EQ(error_of<DataError>([] {
              label_map(data_of({"bee", "catt"}), model_of({"ant", "bee", "cat"}));
            }),
            "the data: the class 'catt' is not among the 3 classes of the model (did you mean "
            "'cat'?); see FILE");
}

TEST(LabelMap, AnUnknownClassWithoutSamplesIsPassedOver) {
  EXPECT_EQ(label_map(data_of({"bee", "emu"}, {true, false}), model_of({"ant", "bee"})).classes,
            (Classes{1, -1}));
}

TEST(LabelMap, NumbersAreTheModelsClassesAsTheyAre) {
  const LabelMap map =
      label_map(data_of(numbered_names(3)), model_of({"ant", "bee", "cat", "dog"}));
  EXPECT_EQ(map.classes, (Classes{0, 1, 2}));
  EXPECT_EQ(map.by, "number");
  EXPECT_EQ(error_of<DataError>([] {
              label_map(data_of(numbered_names(3), {true, false, true}), model_of({"ant", "bee"}));
            }),
            "the data has label 2, but the model has 2 classes");
}

TEST(LabelMap, FoldersOfNumbersAreThoseNumbers) {
  const LabelMap map = label_map(data_of({"3", "7"}), model_of(numbered_names(10)));
  EXPECT_EQ(map.classes, (Classes{3, 7}));
}

TEST(LabelMap, SecondNamesCountAndSettleWhatTheFirstLeaveOpen) {
  KnownClasses birds = model_of({"crane", "crane", "wren"});
  EXPECT_EQ(error_of<DataError>([&] { label_map(data_of({"crane"}), birds); }),
            "the data: 'crane' is what the model calls the classes 0 and 1; see FILE");
  birds.other_names = {"n02012849", "n03126707", "n01534433"};
  EXPECT_EQ(label_map(data_of({"n01534433", "n03126707"}), birds).classes, (Classes{2, 1}));
}

TEST(LabelMap, AModelWithoutNamesTakesAsManyInOrderAndNoOthers) {
  EXPECT_EQ(label_map(data_of({"bee", "cat"}), {2, {}, {}, "the model", ""}).by, "order");
  EXPECT_EQ(error_of<DataError>([] {
              label_map(data_of({"bee", "cat"}), {3, {}, {}, "the model", "; see FILE"});
            }),
            "the data has 2 named classes, the model has 3 without names; see FILE");
}

TEST(LabelMap, AClassMapDecides) {
  const test::TempFolder folder;
  test::write_file(folder / "map.txt",
                   "\xEF\xBB\xBF"
                   "bee\t2\r\ncat 0\r\n");
  const std::string path = (folder / "map.txt").string();
  EXPECT_EQ(label_map(data_of({"bee", "cat"}), model_of({"cat", "x", "y"}), path).classes,
            (Classes{2, 0}));
  EXPECT_EQ(error_of<DataError>([&] {
              label_map(data_of({"dog"}), model_of({"x", "y", "z"}), path);
            }),
            path + " has no line for the class 'dog' of the data");
  EXPECT_EQ(error_of<DataError>([&] {
              label_map(data_of({"bee"}), model_of({"x", "y"}), path);
            }),
            path + ": 'bee' is class 2, but the model has 2");
}

TEST(ClassMap, IsAListOfNamesOrNamesWithNumbers) {
  const test::TempFolder folder;
  const std::string path = (folder / "m.txt").string();
  using Map = std::map<std::string, int64_t>;
  test::write_file(path, "tench, Tinca tinca\ngoldfish 7\n\n");
  EXPECT_EQ(read_class_map(path), (Map{{"tench, Tinca tinca", 0}, {"goldfish 7", 1}}));
  test::write_file(path, "a,4\nb c,4\n");
  EXPECT_EQ(read_class_map(path), (Map{{"a", 4}, {"b c", 4}}));
  test::write_file(path, "a 1\na 2\n");
  EXPECT_EQ(error_of<DataError>([&] { read_class_map(path); }),
            path + ":2: 'a' is of the classes 1 and 2");
  test::write_file(path, "a\n\nb\n");
  EXPECT_EQ(error_of<DataError>([&] { read_class_map(path); }), path + ":2: no name");
}

}  // namespace
}  // namespace vit22b
