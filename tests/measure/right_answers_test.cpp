#include "measure/right_answers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "measure/variants.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;

/// Pictures by name, each of a class.
class Named : public DataSource {
 public:
  Named(std::vector<std::string> classes, std::vector<std::pair<std::string, int64_t>> pictures)
      : classes_(std::move(classes)), pictures_(std::move(pictures)) {}
  int64_t size() const override { return std::ssize(pictures_); }
  Sample read(int64_t index) const override { throw DataError(id(index), " is not to be read"); }
  std::string id(int64_t index) const override {
    return "folder/" + pictures_.at(static_cast<size_t>(index)).first;
  }
  int64_t label(int64_t index) const override {
    return pictures_.at(static_cast<size_t>(index)).second;
  }
  const std::vector<std::string>& label_names() const override { return classes_; }
  std::string fingerprint() const override { return "named"; }

 private:
  std::vector<std::string> classes_;
  std::vector<std::pair<std::string, int64_t>> pictures_;
};

const KnownClasses kKnown{4,
                          {"analog clock", "backpack, back pack", "digital clock", "zebra"},
                          {"n02708093", "n02769748", "n03196217", "n02391049"},
                          "the model"};

using Sets = std::vector<std::vector<int64_t>>;

TEST(RightAnswers, AreByNameAndWordNetsNumbers) {
  const Named source({"n02391049", "n02708093"}, {{"a", 1}, {"b", 0}, {"c", 1}});
  const RightAnswers right = right_by_class(source, "the set", kKnown, "");
  EXPECT_EQ(right.by, "name");
  EXPECT_EQ(right.classes(), (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(right.sets[static_cast<size_t>(right.set_of[0])], std::vector<int64_t>{0});
}

// ObjectNet's four files: a folder's label, a label's names, a name's line, a line's class.
TEST(RightAnswers, ReadObjectNetsFolderOfMappings) {
  const TempFolder folder;
  test::write_file(folder / "folder_to_objectnet_label.json",
                   R"({"alarm_clock": "Alarm clock", "backpack": "Backpack", "tray": "Tray"})");
  test::write_file(folder / "objectnet_to_imagenet_1k.json",
                   R"({"Alarm clock": "analog clock; digital clock",
                       "Backpack": "backpack, back pack"})");
  test::write_file(folder / "imagenet_to_label_2012_v2",
                   "zebra\nbackpack, back pack\ndigital clock\nanalog clock\n");
  test::write_file(folder / "pytorch_to_imagenet_2012_id.json",
                   R"({"0": 3, "1": 1, "2": 2, "3": 0})");
  const Named source({"alarm_clock", "backpack", "tray"}, {{"a", 0}, {"b", 2}, {"c", 1}});
  const RightAnswers right = right_by_class(source, "objectnet", kKnown, folder.path());
  EXPECT_EQ(right.sets, (Sets{{0, 2}, {1}}));
  EXPECT_EQ(right.set_of, (std::vector<int64_t>{0, -1, 1}));
  EXPECT_EQ(right.samples(), (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(right.classes(), (std::vector<int64_t>{0, 1, 2}));
  test::write_file(folder / "imagenet_to_label_2012_v2", "zebra\nbackpack\n");
  EXPECT_NE(error_of<DataError>([&] {
              right_by_class(source, "objectnet", kKnown, folder.path());
            }).find("'analog clock' of 'Alarm clock' is not in"),
            std::string::npos);
}

TEST(RightAnswers, ReadJsonOfNamesNumbersAndLists) {
  const TempFolder folder;
  const Named source({"clock", "striped", "bag"}, {{"a", 0}, {"b", 1}, {"c", 2}});
  test::write_file(folder / "map.json",
                   R"({"clock": "digital clock; analog clock", "striped": ["n02391049", 3],
                       "bag": "backpack, back pack"})");
  EXPECT_EQ(right_by_class(source, "the set", kKnown, folder / "map.json").sets,
            (Sets{{0, 2}, {3}, {1}}));
  for (const auto& [json, why] :
       {std::pair(R"({"clock": 4})", "4 is none of the model's 4 classes"),
        {R"({"clock": -1})", "-1 is none"},
        {R"({"clock": 1.5})", "1.5 is none"},
        {R"({"clock": "zebrra"})", "did you mean 'zebra'?"},
        {R"({"clock": [[1]]})", "[1] is none"},
        {R"({"other": 1})", "has none of the classes of the set"},
        {R"({"clock": 1, "bag": 2, "clock": 3})", "'clock' is there twice"},
        {R"([1])", "want an object"},
        {"{", "is not JSON"}}) {
    test::write_file(folder / "map.json", json);
    EXPECT_NE(error_of<DataError>([&] {
                right_by_class(source, "the set", kKnown, folder / "map.json");
              }).find(why),
              std::string::npos)
        << json;
  }
}

// ImageNet ReaL's list goes by the pictures' numbers, in whatever order they come.
TEST(RightAnswers, ReadRealsListByThePicturesNumbers) {
  const TempFolder folder;
  test::write_file(folder / "real.json", "[[3], [], [0, 2]]");
  const Named source({"x"}, {{"ILSVRC2012_val_00000003.JPEG", 0},
                             {"ILSVRC2012_val_00000001.JPEG", 0},
                             {"ILSVRC2012_val_00000002.JPEG", 0}});
  const RightAnswers right = right_by_picture(source, folder / "real.json", 4);
  EXPECT_EQ(right.sets, (Sets{{0, 2}, {3}}));
  EXPECT_EQ(right.set_of, (std::vector<int64_t>{0, 1, -1}));
  const Named more({"x"}, {{"ILSVRC2012_val_00000004.JPEG", 0}});
  EXPECT_THROW(right_by_picture(more, folder / "real.json", 4), DataError);
  const Named unnumbered({"x"}, {{"picture.JPEG", 0}});
  EXPECT_NE(error_of<DataError>([&] {
              right_by_picture(unnumbered, folder / "real.json", 4);
            }).find("goes by the number that a picture's name ends in"),
            std::string::npos);
}

TEST(RightShare, TakesAnswersFromClassesAlone) {
  const at::Tensor logits = at::tensor({5.0F, 1.0F, 4.0F, 0.0F,   // 0, of {2, 3}: 2
                                        0.0F, 9.0F, 1.0F, 2.0F,   // 1, of {2, 3}: 3
                                        1.0F, 0.0F, 0.0F, 3.0F})  // 3
                                .view({3, 4});
  const Predictions said{
      "p",
      4,
      at::zeros({3}, at::kLong),
      at::tensor({0, 1, 3}, at::kLong),
      {},
      {},
      [&](int64_t first, int64_t count) { return logits.narrow(0, first, count); }};
  const RightAnswers right{{{0, 2}, {3}}, {0, 1, 1, -1}, "test"};
  const RightShare all = right_share(said, right, {});
  EXPECT_EQ(all.num_examples, 2);
  EXPECT_EQ(all.num_right, 1);
  const RightShare some = right_share(said, right, {2, 3});
  EXPECT_EQ(some.num_examples, 2);
  EXPECT_EQ(some.num_right, 2);
  EXPECT_EQ(right_share(said, right, {3}).num_examples, 1);  // the first has no answer left
}

TEST(Baselines, MatchModelsOfBothFiles) {
  const TempFolder folder;
  test::write_file(folder / "results-imagenet.csv",
                   "model,top1,img_size\na,60,224\na,70,384\nb,80,224\nc,90,224\n");
  test::write_file(folder / "results-sketch.csv",
                   "model,img_size,top1\na,384,30\nb,224,40\nd,224,50\n");
  EXPECT_EQ(baseline_of(folder.path(), "sketch").num_points, 2);
  EXPECT_EQ(baseline_of(folder.path(), "unheard").num_points, 0);
  test::write_file(folder / "results-sketch.csv", "model,top1\na,many\n");
  EXPECT_NE(error_of<DataError>([&] { baseline_of(folder.path(), "sketch"); }).find("sketch.csv:2"),
            std::string::npos);
  test::write_file(folder / "results-sketch.csv", "name,top1\na,1\n");
  EXPECT_NE(error_of<DataError>([&] {
              baseline_of(folder.path(), "sketch");
            }).find("no columns `model` and `top1`"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
