#include "measure/picture_attributes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "measure/class_groups.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;
using Part = PictureAttributes::Part;

TEST(PictureAttributes, ReadCelebAsFiles) {
  const TempFolder folder;
  test::write_file(folder / "list_attr_celeba.txt",
                   "3\nSmiling Male\n000001.jpg -1  1\n000002.jpg  1 -1\n000003.jpg  1  1\n");
  test::write_file(folder / "list_eval_partition.txt",
                   "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n000004.jpg 2\n");
  PictureAttributes read =
      read_picture_attributes(folder / "list_attr_celeba.txt", "Smiling", "Male");
  EXPECT_EQ(read.pictures[1], "000002.jpg");
  EXPECT_EQ(read.labels, (std::vector<bool>{false, true, true}));
  EXPECT_EQ(read.groups, (std::vector<std::string>{"1", "-1", "1"}));
  EXPECT_TRUE(read.parts.empty());
  read_partition(folder / "list_eval_partition.txt", read);
  EXPECT_EQ(read.rows(Part::kTest), std::vector<int64_t>{2});
  EXPECT_NE(error_of<DataError>([&] {
              read_picture_attributes(folder / "list_attr_celeba.txt", "Smilng", "Male");
            }).find("did you mean 'Smiling'?"),
            std::string::npos);
  test::write_file(folder / "twice.txt", "000001.jpg 0\n000002.jpg 1\n000001.jpg 2\n");
  EXPECT_NE(error_of<DataError>([&] {
              read_partition(folder / "twice.txt", read);
            }).find("twice.txt:3: the picture 000001.jpg is there twice"),
            std::string::npos);
  test::write_file(folder / "cut.txt", "9\nSmiling Male\n000001.jpg -1 1\n");
  EXPECT_NE(error_of<DataError>([&] {
              read_picture_attributes(folder / "cut.txt", "Smiling", "Male");
            }).find("says that it has 9 pictures, and has 1"),
            std::string::npos);
  test::write_file(folder / "short.txt", "1\nSmiling Male\n000001.jpg -1\n");
  EXPECT_NE(error_of<DataError>([&] {
              read_picture_attributes(folder / "short.txt", "Smiling", "Male");
            }).find("short.txt:3: 2 words, want 3"),
            std::string::npos);
}

TEST(PictureAttributes, ReadTablesWithTheirOwnParts) {
  const TempFolder folder;
  test::write_file(folder / "t.csv",
                   "tone,filepath,woman,split\ndark,a.png,yes,train\nlight,b.png,0,val\n"
                   "\"light, warm\",c.png,TRUE,test\n");
  const PictureAttributes read = read_picture_attributes(folder / "t.csv", "woman", "tone");
  EXPECT_EQ(read.groups.back(), "light, warm");
  EXPECT_EQ(read.parts, (std::vector<Part>{Part::kTrain, Part::kFit, Part::kTest}));
  for (const auto& [text, why] :
       {std::pair("woman,tone\n1,a\n", "has no column of pictures"),
        {"filepath,woman,tone\na.png,na,dark\n", "t.csv:2: woman is 'na'"},
        {"filepath,woman,tone\na.png,1,\n", "tone is empty"},
        {"filepath,woman,tone,split\na.png,1,dark,3\n", "'3' is no part"},
        {"filepath,woman,tone\na.png,1,x\na.png,1,y\n", "a.png is there twice"},
        {"filepath,woman,tone\n", "has no pictures"},
        {"", "is empty"}}) {
    test::write_file(folder / "t.csv", text);
    EXPECT_NE(error_of<DataError>([&] {
                read_picture_attributes(folder / "t.csv", "woman", "tone");
              }).find(why),
              std::string::npos)
        << text;
  }
}

TEST(PictureAttributes, PartsAreDrawnOnceAndForAll) {
  PictureAttributes attributes{.place = "t", .pictures = std::vector<std::string>(101, "p")};
  draw_parts(attributes, 7);
  const std::vector<Part> first = attributes.parts;
  draw_parts(attributes, 7);
  EXPECT_EQ(attributes.parts, first);
  EXPECT_EQ(attributes.rows(Part::kFit).size(), 25U);
  EXPECT_EQ(attributes.rows(Part::kTest).size(), 25U);
  EXPECT_EQ(attributes.rows(Part::kTrain).size(), 51U);
}

TEST(ClassGroups, SumUpTheirClasses) {
  const ClassGroups groups = class_groups("prefix", {"Aves/a", "Aves/b", "Insecta/c"});
  const ResultTable table = group_table("per_group", groups, {{10, 5}, {30, 20}, {0, 0}});
  EXPECT_EQ(std::get<std::string>(table.rows[0][0]), "Aves");
  EXPECT_EQ(std::get<int64_t>(table.rows[0][2]), 40);
  EXPECT_DOUBLE_EQ(std::get<double>(table.rows[0][3]), 0.625);
  EXPECT_TRUE(std::isnan(std::get<double>(table.rows[1][3])));
  EXPECT_THROW(class_groups("prefix", {}), DataError);
}

}  // namespace
}  // namespace vit22b
