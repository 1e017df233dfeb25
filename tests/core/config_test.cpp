#include "core/config.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;
using test::write_file;

struct Options {
  double rate = 0.5;
  int64_t depth = 3;
  std::string kind = "a";
  std::string name = "n";
  bool is_on = false;
  std::vector<std::string> parts;
  Duration total;
  ImageSize size{4, 4};

  void fields(FieldVisitor& v) {
    v.begin_section("inner");
    v.field("rate", rate, "a rate");
    v.field("depth", depth, "a depth");
    v.choice("kind", kind, "a|bee", "a kind");
    v.end_section();
    v.field("name", name, "a name");
    v.field("is_on", is_on, "a switch");
    v.field("parts", parts, "parts");
    v.field("total", total, "a length");
    v.field("size", size, "a size");
  }
};

Options applied(const std::vector<std::string>& overrides) {
  ConfigTree tree;
  for (const std::string& text : overrides) set_override(tree, text);
  Options options;
  apply_config(tree, [&](FieldVisitor& v) { options.fields(v); });
  return options;
}

TEST(Config, ReadsEveryTypeFromOverrides) {
  const Options o = applied({"inner.rate=2", "inner.depth = 7", "inner.kind=bee", "name=bare",
                             "is_on=true", "parts=[\"x\", \"y\"]", "total_epochs=1.5", "size=6x8"});
  EXPECT_EQ(o.rate, 2);
  EXPECT_EQ(o.depth, 7);
  EXPECT_EQ(o.kind, "bee");
  EXPECT_EQ(o.name, "bare");
  EXPECT_TRUE(o.is_on);
  EXPECT_EQ(o.parts, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(o.total.unit, Duration::Unit::kEpochs);
  EXPECT_EQ(o.size, (ImageSize{6, 8}));
}

// A folder may be called 2024.10, 1e3 or 5#run.
TEST(Config, StringsStayAsTheyWereTyped) {
  for (const char* text : {"2024.10", "1e3", "5#run", "1_000", "0x1F", "true", "inf", "007",
                           "2024-10-01", "[a]", "{a}", "-0", "a b", "tail "})
    EXPECT_EQ(applied({std::string("name=") + text}).name, text);
  EXPECT_EQ(applied({"name=\"2024.10\""}).name, "2024.10");
  EXPECT_EQ(applied({"name = 1e3 "}).name, "1e3");
  EXPECT_EQ(applied({"parts=2024.10,1e3"}).parts, (std::vector<std::string>{"2024.10", "1e3"}));
  EXPECT_EQ(applied({"parts=2024.10"}).parts, (std::vector<std::string>{"2024.10"}));
  EXPECT_EQ(applied({"inner.rate=1e3"}).rate, 1000);
  EXPECT_EQ(error_of<UsageError>([] { applied({"inner.depth=5#run"}); }),
            "command line: 'inner.depth' is a string (\"5#run\"), want an integer");
}

TEST(Config, UnknownKeyNamesTheNearest) {
  EXPECT_EQ(error_of<UsageError>([] { applied({"inner.dept=3"}); }),
            "command line: unknown key 'inner.dept' (did you mean 'inner.depth'?); `vit22b config "
            "show` lists all keys");
}

TEST(Config, WrongTypeNamesKeyOriginAndWant) {
  EXPECT_EQ(error_of<UsageError>([] { applied({"inner.depth=1.5"}); }),
            "command line: 'inner.depth' is a number (1.5), want an integer");
}

TEST(Config, ChoiceNamesItsChoices) {
  EXPECT_EQ(error_of<UsageError>([] { applied({"inner.kind=be"}); }),
            "command line: 'inner.kind' is 'be', want one of a, bee (did you mean 'bee'?)");
}

TEST(Config, LaterLayerReplacesAnotherUnitOfADuration) {
  const Options o = applied({"total_steps=100", "total_percent=5"});
  EXPECT_EQ(o.total.unit, Duration::Unit::kPercent);
}

TEST(Config, TwoUnitsInOneFileAreRefused) {
  const TempFolder folder;
  write_file(folder / "a.toml", "total_steps = 3\ntotal_epochs = 1\n");
  const ConfigTree tree = read_config_file(folder / "a.toml");
  Options options;
  EXPECT_NE(error_of<UsageError>([&] {
              apply_config(tree, [&](FieldVisitor& v) { options.fields(v); });
            }).find("both set"),
            std::string::npos);
}

TEST(Config, FileOverridesItsIncludesAndErrorsNameTheLine) {
  const TempFolder folder;
  write_file(folder / "base.toml", "name = \"base\"\n[inner]\nrate = 3.0\n");
  write_file(folder / "top.toml",
             "include = [\"base.toml\"]\nname = \"top\"\n[inner]\ndepth = 9\n");
  const ConfigTree tree = read_config_file(folder / "top.toml");
  Options options;
  apply_config(tree, [&](FieldVisitor& v) { options.fields(v); });
  EXPECT_EQ(options.name, "top");
  EXPECT_EQ(options.rate, 3);
  EXPECT_EQ(options.depth, 9);
  EXPECT_TRUE(tree.at("inner.depth").origin.ends_with("top.toml:4"));
}

TEST(Config, IncludeCycleIsRefused) {
  const TempFolder folder;
  write_file(folder / "a.toml", "include = [\"b.toml\"]\n");
  write_file(folder / "b.toml", "include = [\"a.toml\"]\n");
  EXPECT_NE(
      error_of<UsageError>([&] { read_config_file(folder / "a.toml"); }).find("includes itself"),
      std::string::npos);
}

TEST(Config, SyntaxErrorNamesLineAndColumn) {
  const TempFolder folder;
  write_file(folder / "a.toml", "x = 1\ny = = 2\n");
  EXPECT_NE(error_of<UsageError>([&] { read_config_file(folder / "a.toml"); }).find("a.toml:2:"),
            std::string::npos);
}

// Fuzzing found these in toml++: undefined behaviour, a stack that overflows, and an abort.
TEST(Config, LettersBeyondAsciiOutsideQuotesAreRefusedByLine) {
  const TempFolder folder;
  write_file(folder / "a.toml", "x = \"\u0432\" # \u0432\n'\u0432' = 1\ny = 0\u0432\n");
  EXPECT_EQ(
      error_of<UsageError>([&] { read_config_file(folder / "a.toml"); }),
      (folder / "a.toml").string() + ":3: a letter beyond ASCII, which has to stand in quotes");
  ConfigTree tree;
  set_override(tree, "x=0\u0432");
  EXPECT_EQ(std::get<std::string>(tree.at("x").value), "0\u0432");
}

TEST(Config, AQuoteInsideAWordBeginsNoString) {
  for (const char* text :
       {"seed = 1\"\u0432\"", "seed = 1 '\u0432'", "[a]\"\u0432\"", "a\"\u0432\" = 1"})
    EXPECT_EQ(error_of<UsageError>([&] { read_config_text(text, "a.toml"); }),
              "a.toml:1: a letter beyond ASCII, which has to stand in quotes")
        << text;
  for (const char* text : {"\"\u0432\".'\u0432' = ['\u0432', \"\u0432\"]", "a = {\"\u0432\" = 1}",
                           "# \"\n\"\u0432\" = 1"})
    EXPECT_NO_THROW(read_config_text(text, "a.toml")) << text;
}

TEST(Config, WhatFollowsAMisplacedQuoteIsNoString) {
  for (const char* text :
       {"seed = 1\"c='1\"con\u0432\"", "a = 1.'\u0432'", "a = [1, true.'\u0432']",
        "a = {b = [1, 2.'\u0432']}", "a = 1='\u0432'", "a = 1['\u0432'", "a = [1{'\u0432'",
        "a = 1\" # \u0432", "a = \"b\" '\u0432'"})
    EXPECT_EQ(error_of<UsageError>([&] { read_config_text(text, "a.toml"); }),
              "a.toml:1: a letter beyond ASCII, which has to stand in quotes")
        << text;
  for (const char* text :
       {"a = {b = [1, '\u0432'], '\u0432'.\"\u0432\" = \"\u0432\"}\n'\u0432' = 1",
        "a = [\n'\u0432',\n\"\u0432\"]\n'\u0432'.b = 2",
        "['\u0432'.\"\u0432\"]\na.'\u0432' = '\u0432'"})
    EXPECT_NO_THROW(read_config_text(text, "a.toml")) << text;
}

TEST(Config, KeysOfVeryManyPartsAreRefused) {
  std::string key = "a";
  for (int i = 1; i < 32; ++i) key += ".a";
  EXPECT_EQ(read_config_text(key + " = 0.5\n", "t").size(), 1u);
  for (const std::string& text : {"\n" + key + ".a = 1\n", "\n[" + key + ".'a.b']\n"})
    EXPECT_EQ(error_of<UsageError>([&] { read_config_text(text, "t"); }),
              "t:2: a key of too many parts");
}

TEST(Config, AnEmptyTableNameBeforeACommentIsRefused) {
  EXPECT_EQ(error_of<UsageError>([] { read_config_text("[# a", "t"); }),
            "t is no valid TOML: a key or a value is malformed");
}

TEST(Config, MissingFileIsRefusedByName) {
  EXPECT_NE(error_of<UsageError>([] {
              read_config_file("/nowhere.toml");
            }).find("/nowhere.toml does not exist"),
            std::string::npos);
}

TEST(Config, TomlTextReadsBackTheSame) {
  const TempFolder folder;
  Options options = applied({"inner.rate=8.571428571428571", "name='quote \" and \\ slash'",
                             "total_examples=1e6", "size=6x8"});
  const std::string text = to_toml([&](FieldVisitor& v) { options.fields(v); });
  write_file(folder / "a.toml", text);
  Options again;
  apply_config(read_config_file(folder / "a.toml"), [&](FieldVisitor& v) { again.fields(v); });
  EXPECT_EQ(again.rate, options.rate);
  EXPECT_EQ(again.name, "quote \" and \\ slash");
  EXPECT_EQ(to_toml([&](FieldVisitor& v) { again.fields(v); }), text);
}

TEST(Config, DifferenceLeavesOutDurationsAndIgnoredKeys) {
  ConfigTree a, b;
  for (ConfigTree* tree : {&a, &b}) set_override(*tree, "same=1");
  set_override(a, "log_steps=1");
  set_override(b, "log_epochs=2");
  set_override(b, "threads=2");
  set_override(a, "rate=1.0");
  set_override(b, "rate=2.0");
  EXPECT_EQ(config_difference(a, b, {"threads"}), std::vector<std::string>{"rate: 1.0 -> 2.0"});
}

TEST(Duration, ConvertsEveryUnit) {
  const DurationScale scale{.batch_size = 10, .examples_per_epoch = 105, .total_steps = 200};
  using Unit = Duration::Unit;
  EXPECT_EQ(to_steps({7, Unit::kSteps}, scale, 0), 7);
  EXPECT_EQ(to_steps({95, Unit::kExamples}, scale, 0), 10);
  EXPECT_EQ(to_steps({2, Unit::kEpochs}, scale, 0), 21);
  EXPECT_EQ(to_steps({5, Unit::kPercent}, scale, 0), 10);
  EXPECT_EQ(to_steps({}, scale, 42), 42);
  EXPECT_EQ(to_steps({0.001, Unit::kSteps}, scale, 0), 1);
}

TEST(Text, NearestNameNeedsToBeNear) {
  EXPECT_EQ(nearest_name("dpeth", {"depth", "width"}), "depth");
  EXPECT_EQ(nearest_name("qqqq", {"depth", "width"}), "");
  EXPECT_EQ(nearest_name(std::string(1 << 28, 'q'), {"depth"}), "");  // at once
}

TEST(Text, PatternStarsMatchAnyRun) {
  EXPECT_TRUE(matches_pattern("blocks.7.in_proj.weight", "blocks.*.weight"));
  EXPECT_TRUE(matches_pattern("head.bias", "head.*"));
  EXPECT_FALSE(matches_pattern("head.bias", "head"));
}

}  // namespace
}  // namespace vit22b
