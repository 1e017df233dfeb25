#include "data/sources/manifest.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "data/delimited.h"
#include "data/derived_sources.h"
#include "data/loader.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;
using Row = std::vector<std::string>;

std::vector<Row> rows_of(std::string_view text, char separator = ',') {
  DelimitedReader reader(text, separator, "t.csv");
  std::vector<Row> rows;
  while (auto row = reader.next()) rows.push_back(*row);
  return rows;
}

TEST(Delimited, ReadsQuotesLineBreaksAndEmptyFields) {
  EXPECT_EQ(rows_of("a,\"b \"\"c\"\",\n d\",\r\n\n,x\n"),
            (std::vector<Row>{{"a", "b \"c\",\n d", ""}, {"", "x"}}));
  EXPECT_EQ(rows_of("\xEF\xBB\xBFh\tk\n1\t2", '\t'), (std::vector<Row>{{"h", "k"}, {"1", "2"}}));
  EXPECT_TRUE(rows_of("").empty());
}

TEST(Delimited, NamesTheLineOfAnOpenQuoteAndOfTextAfterOne) {
  EXPECT_EQ(error_of<DataError>([] { rows_of("a,b\n\"c\nd,e\n"); }),
            "t.csv:2: a quote that opens here is not closed within 1048576 bytes; double the "
            "quotes inside a field");
  EXPECT_EQ(error_of<DataError>([] { rows_of("a\n\"b\"c\n"); }),
            "t.csv:2: text after a closing quote; double the quotes inside");
  EXPECT_NE(error_of<DataError>([] {
              rows_of("x\n" + std::string(2'000'000, 'y'));
            }).find("t.csv:2: a field of 2000000 bytes"),
            std::string::npos);
}

/// Opens a manifest of this text.
std::unique_ptr<DataSource> open(const TempFolder& folder, const std::string& text,
                                 const std::string& split = "train",
                                 const std::string& name = "m.csv") {
  test::write_file(folder / name, text);
  return open_source("manifest:" + (folder / name).string(), split);
}

TEST(Manifest, GathersAFilesCaptionsAndFindsItBesideTheTable) {
  const TempFolder folder;
  test::write_file(folder / "images/a.png", "bytes");
  const auto source =
      open(folder,
           "caption,filepath,other\na cat,images/a.png,1\n\"a cat, sitting\",images/"
           "a.png,2\na dog,images/b.png,3\n");
  ASSERT_EQ(source->size(), 2);
  const Sample sample = source->read(0);
  EXPECT_EQ(sample.captions, (Row{"a cat", "a cat, sitting"}));
  EXPECT_EQ(sample.label, -1);
  EXPECT_EQ(sample.fields.at("image").encoded.size(), 5U);
  EXPECT_EQ(sample.id, (folder / "images/a.png").string());
  EXPECT_NE(error_of<UserError>([&] { source->read(1); }).find("images/b.png"), std::string::npos);
}

TEST(Manifest, CountsClassesOverAllSplits) {
  const TempFolder folder;
  const std::string text = "filepath,label,split\na,ox,train\nb,cat,test\nc,ox,test\n";
  const auto source = open(folder, text, "test");
  EXPECT_EQ(source->label_names(), (Row{"cat", "ox"}));
  EXPECT_EQ(source->size(), 2);
  EXPECT_EQ(source->label(1), 1);
  EXPECT_EQ(error_of<DataError>([&] { open(folder, text, "val"); }),
            (folder / "m.csv").string() + " has no split 'val'; it has test, train");
  EXPECT_EQ(splits_of((folder / "m.csv").string()), (Row{"test", "train"}));
  EXPECT_NE(source->fingerprint(), open(folder, text, "train")->fingerprint());
}

TEST(Manifest, WithoutTheColumnSplitIsTrainAlone) {
  const TempFolder folder;
  const std::string text = "filepath,label\na,x\nb,y\n";
  EXPECT_EQ(open(folder, text)->size(), 2);
  EXPECT_EQ(splits_of((folder / "m.csv").string()), Row{"train"});
  EXPECT_EQ(
      error_of<DataError>([&] { open(folder, text, "test"); }),
      (folder / "m.csv").string() +
          " has no split 'test': all of it is 'train'; give another source, or make a test of "
          "it with --test-part 20% or --folds 5, in training with data.val=10%");
}

TEST(Manifest, ClassNumbersStayAsTheyAre) {
  const TempFolder folder;
  const auto source = open(folder, "filepath,label\na,7\nb,3\n");
  EXPECT_EQ(source->label(0), 7);
  EXPECT_EQ(source->label(1), 3);
  EXPECT_EQ(source->label_names(), (Row{"0", "1", "2", "3", "4", "5", "6", "7"}));
  // Other ways to write numbers are names, in the order of their bytes.
  EXPECT_EQ(open(folder, "filepath,label\na,1.0\nb,10.0\nc,2.0\n")->label_names(),
            (Row{"1.0", "10.0", "2.0"}));
  EXPECT_EQ(open(folder, "filepath,label\na,07\nb,03\n")->label(0), 1);
  EXPECT_EQ(error_of<DataError>([&] { open(folder, "filepath,label\na,-1\nb,3\n"); }),
            (folder / "m.csv").string() +
                ": the label -1 is no class number, want 0 to 999999, or names");
}

TEST(Manifest, ARowWithALabelNeedsNoCaption) {
  const TempFolder folder;
  const std::shared_ptr<const DataSource> source =
      open(folder, "filepath,caption,label\na,,x\nb,text,y\n");
  EXPECT_EQ(source->size(), 2);
  EXPECT_TRUE(source->captions(0).empty());
  const auto captioned = with_captions(source, "m.csv");
  EXPECT_EQ(captioned->size(), 1);
  EXPECT_EQ(captioned->captions(0), Row{"text"});
}

TEST(Manifest, NamesThatNoCheckpointCanHoldAreRefusedAtTheirLine) {
  const TempFolder folder;
  const std::string place = (folder / "m.csv").string();
  EXPECT_EQ(error_of<DataError>([&] { open(folder, "filepath,label\na,x\nb,caf\xe9\n"); }),
            place +
                ":3: the class name 'caf\\xe9' is not UTF-8, which checkpoints and JSON are; "
                "rename it");
  EXPECT_NE(error_of<DataError>([&] {
              open(folder, "filepath,label\na," + std::string(256, 'x') + "\n");
            }).find("has 256 bytes, want at most 255"),
            std::string::npos);
}

TEST(Manifest, TheFingerprintChangesWithThePicturesAndTheirPlace) {
  const TempFolder folder, elsewhere;
  const std::string text = "filepath,label\na,x\nb,y\n";
  for (const TempFolder* place : {&folder, &elsewhere}) {
    test::write_file(*place / "a", "one");
    test::write_file(*place / "b", "two");
  }
  const std::string before = open(folder, text)->fingerprint();
  EXPECT_EQ(open(folder, text)->fingerprint(), before);
  EXPECT_NE(open(elsewhere, text)->fingerprint(), before);
  EXPECT_NE(open(folder, "filepath,label\na,y\nb,x\n")->fingerprint(), before);
  test::write_file(folder / "b", "three");
  EXPECT_NE(open(folder, text)->fingerprint(), before);
}

TEST(Manifest, IsRecognisedInCapitals) {
  const TempFolder folder;
  test::write_file(folder / "M.CSV", "filepath,label\na,x\n");
  EXPECT_EQ(open_source((folder / "M.CSV").string(), "train")->size(), 1);
}

TEST(Manifest, ReadsTabsByEndingAndByHeader) {
  const TempFolder folder;
  EXPECT_EQ(open(folder, "filepath\tlabel\na,b\tx\n", "train", "m.tsv")->size(), 1);
  EXPECT_EQ(open(folder, "filepath\tlabel\na,b\tx\n", "train", "m.csv")->label_names(), Row{"x"});
}

TEST(Manifest, LeavesEmptyCaptionsOutAndRefusesATableWithoutAny) {
  const TempFolder folder;
  EXPECT_EQ(open(folder, "filepath,caption\na,\nb,text\n")->size(), 1);
  EXPECT_NE(error_of<DataError>([&] {
              open(folder, "filepath,caption\na,\n");
            }).find("has no rows of the split 'train'"),
            std::string::npos);
}

TEST(Manifest, AMissingFileIsABadSampleToALoader) {
  const TempFolder folder;
  const auto source = open(folder, "filepath,label\nabsent.png,x\n");
  const Transforms transforms("decode|value_range(0,1)");
  BatchLoader loader(*source, transforms, {.is_training = false, .max_bad_fraction = 1});
  Batch batch;
  EXPECT_TRUE(loader.next(batch));
  ASSERT_EQ(loader.bad_samples().size(), 1U);
  EXPECT_NE(loader.bad_samples()[0].reason.find("absent.png"), std::string::npos);
}

TEST(Manifest, NamesWhatIsWrongWithATable) {
  const TempFolder folder;
  const std::string place = (folder / "m.csv").string();
  const auto error = [&](const std::string& text) {
    return error_of<DataError>([&] { open(folder, text); });
  };
  EXPECT_EQ(error(""), place + " is empty; want a header with `filepath`");
  EXPECT_EQ(error("path,label\n"),
            place + ":1: the columns are path, label; want `filepath`, and `caption` or `label`");
  EXPECT_EQ(error("filepath,label,label\n"), place + ":1: the column 'label' is there twice");
  EXPECT_EQ(error("filepath,caption\na,one, two\n"),
            place + ":2: 3 fields, the header has 2; put text with separators in quotes");
  EXPECT_EQ(error("filepath,label\na,\n"), place + ":2: no label");
  EXPECT_EQ(error("filepath,label\na,x\na,y\n"), place + ":3: a has another label above");
}

}  // namespace
}  // namespace vit22b
