#include "data/tokenizer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "data/transforms.h"
#include "support/files.h"

namespace vit22b {
namespace {

using nlohmann::json;
using test::error_of;
using test::TempFolder;

/// The oracle's folder; VIT22B_TOKENIZER_ORACLE names a larger one.
std::filesystem::path oracle(const std::string& name) {
  const char* folder = std::getenv("VIT22B_TOKENIZER_ORACLE");
  return folder != nullptr ? std::filesystem::path(folder) / name
                           : test::source_path("tests/oracle/" + name);
}

std::vector<int64_t> numbers(const at::Tensor& row) {
  return {row.const_data_ptr<int64_t>(), row.const_data_ptr<int64_t>() + row.numel()};
}

/// How many captions the tokenizer cuts otherwise than the oracle; names the first.
int64_t count_differences(const Tokenizer& tokenizer, const char* kind, const json& captions,
                          const json& words) {
  int64_t different = 0;
  for (size_t i = 0; i < captions.size(); ++i) {
    const auto want = words[i].get<std::vector<int64_t>>();
    const auto caption = captions[i].get<std::string>();
    const auto got = numbers(tokenizer.encode(caption, static_cast<int64_t>(want.size())));
    if (got != want && different++ < 5)
      ADD_FAILURE() << kind << " '" << caption << "': " << json(got) << ", want " << json(want);
  }
  return different;
}

int64_t count_differences(const Tokenizer& tokenizer, const char* kind) {
  const json all = json::parse(test::read_file(oracle("tokenizers.json")));
  return count_differences(tokenizer, kind, all["captions"], all[kind]);
}

TEST(Tokenizers, SentencePieceEqualsItsPythonPackageAfterSiglipsCanonicalForm) {
  EXPECT_EQ(count_differences(*open_tokenizer(oracle("tokenizer.model")), "sentencepiece"), 0);
}

// CLIP's merges are open_clip's file, 1.3 MB, which is not part of this tree.
TEST(Tokenizers, ClipsEqualOpenClips) {
  const char* merges = std::getenv("VIT22B_CLIP_MERGES");
  if (merges == nullptr)
    GTEST_SKIP() << "set VIT22B_CLIP_MERGES to open_clip's bpe_simple_vocab_16e6.txt.gz";
  EXPECT_EQ(count_differences(*open_tokenizer(merges), "clip"), 0);
}

// Made by the script for this run alone: CLIP's file is 3 MB.
TEST(Tokenizers, JsonFilesEqualTransformers) {
  if (std::getenv("VIT22B_TOKENIZER_ORACLE") == nullptr)
    GTEST_SKIP() << "set VIT22B_TOKENIZER_ORACLE to what make_tokenizers.py writes for 10000";
  const std::pair<const char*, TokenizerOptions> kinds[] = {
      {"clip", {.cleaning = Cleaning::kComposed}},
      {"clip_caption", {.cleaning = Cleaning::kCaptionLower}},
      {"siglip2", {.cleaning = Cleaning::kLower}},
      {"siglip2_caption", {.cleaning = Cleaning::kCaptionCanonical}},
      {"unigram", {}},
      {"bert", {.cleaning = Cleaning::kCaption, .blanks_end = true}}};
  const json captions = json::parse(test::read_file(oracle("tokenizers.json")))["captions"];
  ASSERT_GT(captions.size(), 10'000U);
  for (const auto& [kind, options] : kinds) {
    const auto tokenizer = open_tokenizer(oracle(kind) / "tokenizer.json", options);
    const json words = json::parse(test::read_file(oracle(kind) / "words.json"));
    EXPECT_TRUE(tokenizer->has_padding()) << kind;
    EXPECT_EQ(count_differences(*tokenizer, kind, captions, words), 0) << kind;
  }
}

// By hand: "lower" is l o w e r</w>; lo, low, er</w> join in this order.
TEST(Tokenizers, ByteMergesJoinInTheFilesOrder) {
  const auto tokenizer =
      make_tokenizer("#version\nl o\nlo w\ne r</w>\nlow er</w>\nn e\n", "merges.txt");
  constexpr int64_t kFirstMerge = 512, kStart = kFirstMerge + 5;
  EXPECT_EQ(tokenizer->vocab_size(), kStart + 2);
  EXPECT_EQ(
      numbers(tokenizer->encode("  Lower low ", 6)),
      (std::vector<int64_t>{kStart, kFirstMerge + 3, kFirstMerge, 256 + 'w' - '!', kStart + 1, 0}));
  EXPECT_EQ(numbers(tokenizer->encode("low low low", 3)),
            (std::vector<int64_t>{kStart, kFirstMerge, kStart + 1}));
}

TEST(Tokenizers, TrainingIsTheSameEachTimeAndSaysHowLargeItMayBe) {
  std::vector<std::string> sentences;
  for (int i = 0; i < 300; ++i)
    sentences.push_back(concat("a picture of number ", i, " with ", i % 7, " colours"));
  const std::string model = train_sentencepiece(sentences, 60);
  EXPECT_EQ(train_sentencepiece(sentences, 60), model);
  const auto tokenizer = make_tokenizer(model, "tokenizer.model");
  EXPECT_EQ(tokenizer->vocab_size(), 60);
  EXPECT_EQ(numbers(tokenizer->encode("", 3)), (std::vector<int64_t>{1, 1, 1}));
  EXPECT_NE(error_of<UsageError>([&] {
              train_sentencepiece(sentences, 100'000);
            }).find("cannot be trained on these texts"),
            std::string::npos);
}

// SentencePiece leaves controls and spaces out, and ends the process where nothing is left.
TEST(SentencePiece, TextsWithoutALetterTrainNoTokenizer) {
  for (const std::vector<std::string>& texts : {std::vector<std::string>{""},
                                                {"\x0e", "\x05<"},
                                                {"\u200b", " \u3000 "},
                                                {"\ufffd\ufffd"},
                                                {"\u2581", "\u2581<"},
                                                {"\xff\xff"}})
    EXPECT_EQ(error_of<UsageError>([&] { train_sentencepiece(texts, 60); }),
              "a tokenizer cannot be trained on texts without a letter");
}

TEST(Tokenizers, CutsLongTextsAndKeepsTheEndMark) {
  const auto tokenizer = open_tokenizer(test::source_path("tests/oracle/tokenizer.model"));
  const at::Tensor row = tokenizer->encode(std::string(100'000, 'a') + " dog", 16);
  EXPECT_EQ(row.size(0), 16);
  EXPECT_EQ(row[15].item<int64_t>(), 1);
}

TEST(Tokenizers, FilesThatAreNoneAreRefused) {
  EXPECT_NE(error_of<CheckpointError>([] {
              make_tokenizer("x", "a.model");
            }).find("a.model is no SentencePiece model"),
            std::string::npos);
  EXPECT_EQ(error_of<CheckpointError>([] { make_tokenizer("only a header\n", "a.txt"); }),
            "tokenizer a.txt has no merges after line 1");
  const TempFolder folder;
  test::write_file(folder / "a.txt.gz", "no gzip");
  EXPECT_NE(error_of<CheckpointError>([&] {
              open_tokenizer(folder / "a.txt.gz");
            }).find("is no whole gzip file"),
            std::string::npos);
}

TEST(Transforms, TokenizeDrawsOneOfTheCaptionsByTheGlobalIndex) {
  const std::shared_ptr<const Tokenizer> tokenizer =
      open_tokenizer(test::source_path("tests/oracle/tokenizer.model"));
  const Transforms transforms("tokenize(8)", /*seed=*/1, tokenizer);
  std::map<std::vector<int64_t>, int> seen;
  for (uint64_t i = 0; i < 200; ++i) {
    Sample sample{.captions = {"dog", "cat"}};
    transforms(sample, i);
    ++seen[numbers(sample.fields.at("text").value)];
  }
  ASSERT_EQ(seen.size(), 2U);
  // 100 of each, deviation 7.
  EXPECT_NEAR(seen.begin()->second, 100, 30);
  Sample none{.id = "x.png"};
  EXPECT_EQ(error_of<DataError>([&] { transforms(none, 0); }), "x.png has no caption");
  EXPECT_NE(error_of<UsageError>([] { Transforms("tokenize(8)"); }).find("text tower"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
