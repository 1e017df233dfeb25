#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "data/tokenizer.h"
#include "data/tokenizers/text_steps.h"
#include "support/files.h"

// tokenizer.json by hand; against transformers' own words in tokenizer_test.cpp.
namespace vit22b {
namespace {

using nlohmann::json;
using test::error_of;
using test::TempFolder;

std::vector<int64_t> words(const Tokenizer& tokenizer, const std::string& text,
                           int64_t length = 8) {
  const at::Tensor row = tokenizer.encode(text, length);
  return {row.const_data_ptr<int64_t>(), row.const_data_ptr<int64_t>() + row.numel()};
}

std::unique_ptr<Tokenizer> made(const json& file, const TokenizerOptions& options = {}) {
  return make_tokenizer(file.dump(), "tokenizer.json", options);
}

std::string refusal(const json& file) {
  return error_of<CheckpointError>([&] { made(file); });
}

using Words = std::vector<int64_t>;

/// Of [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3.
json wordpiece_file() {
  return {{"added_tokens", json::array()},
          {"normalizer", {{"type", "BertNormalizer"}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"post_processor",
           {{"type", "BertProcessing"}, {"cls", {"[CLS]", 2}}, {"sep", {"[SEP]", 3}}}},
          {"padding", {{"pad_id", 0}, {"direction", "Right"}}},
          {"model",
           {{"type", "WordPiece"},
            {"max_input_chars_per_word", 6},
            {"vocab",
             {{"[PAD]", 0},
              {"[UNK]", 1},
              {"[CLS]", 2},
              {"[SEP]", 3},
              {"cat", 4},
              {"##s", 5},
              {"ca", 6},
              {"##t", 7},
              {"!", 8},
              {"e", 9}}}}}};
}

TEST(JsonTokenizer, WordPieceTakesTheLongestPieceFirst) {
  const auto tokenizer = made(wordpiece_file());
  EXPECT_EQ(words(*tokenizer, "Cats! \u00e9"), (Words{2, 4, 5, 8, 9, 3, 0, 0}));
  EXPECT_EQ(words(*tokenizer, "dog"), (Words{2, 1, 3, 0, 0, 0, 0, 0}));
  EXPECT_EQ(words(*tokenizer, "catssss"), (Words{2, 1, 3, 0, 0, 0, 0, 0}));  // 7 letters
}

TEST(JsonTokenizer, ALongTextKeepsItsMarks) {
  EXPECT_EQ(words(*made(wordpiece_file()), "cat cat cat cat", 4), (Words{2, 4, 4, 3}));
  EXPECT_EQ(words(*made(wordpiece_file(), {.blanks_end = true}), "cat cat cat cat", 4),
            (Words{2, 4, 4, 0}));
}

/// Of bytes that stand for letters which are no pieces.
json bytes_file() {
  json vocab = {{"<pad>", 0}, {"<eos>", 1}, {"\u2581", 2},  {"a", 3},
                {"b", 4},     {"ab", 5},    {"\u2581a", 6}, {"\u2581ab", 7}};
  int64_t next = 8;
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    vocab[name] = next++;
  }
  return {
      {"normalizer", {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}},
      {"pre_tokenizer", nullptr},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", {{{"Sequence", {{"id", "A"}}}}, {{"SpecialToken", {{"id", "<eos>"}}}}}}}},
      {"model",
       {{"type", "BPE"},
        {"byte_fallback", true},
        {"vocab", vocab},
        {"merges", {"a b", "\u2581 a", "\u2581 ab"}}}}};
}

TEST(JsonTokenizer, MergesJoinByRankAndOtherLettersAreBytes) {
  const auto tokenizer = made(bytes_file());
  // "a b" joins before "\u2581 a" may.
  EXPECT_EQ(words(*tokenizer, " ab", 3), (Words{7, 1, 0}));
  EXPECT_EQ(words(*tokenizer, " aab", 4), (Words{6, 5, 1, 0}));
  EXPECT_EQ(words(*tokenizer, "\u00e9", 4), (Words{8 + 0xC3, 8 + 0xA9, 1, 0}));
}

TEST(JsonTokenizer, PaddingIsOfTheSettingsBesideTheFile) {
  const TempFolder folder;
  test::write_file(folder / "tokenizer.json", bytes_file().dump());
  EXPECT_FALSE(open_tokenizer(folder / "tokenizer.json")->has_padding());
  test::write_file(folder / "tokenizer_config.json",
                   R"({"pad_token": "<eos>", "padding_side": "left"})");
  const auto tokenizer = open_tokenizer(folder / "tokenizer.json");
  EXPECT_TRUE(tokenizer->has_padding());
  EXPECT_EQ(words(*tokenizer, "b", 4), (Words{1, 1, 4, 1}));
  // What was taken stands in the tokenizer's own bytes.
  EXPECT_EQ(words(*make_tokenizer(tokenizer->file_bytes(), "tokenizer.json"), "b", 4),
            (Words{1, 1, 4, 1}));
}

TEST(JsonTokenizer, TheSettingsSayTheMarksWhereTheFileHasNone) {
  const TempFolder folder;
  json file = bytes_file();
  const char* settings = R"({"add_bos_token": true, "bos_token": {"content": "<pad>"},
                             "add_eos_token": false, "eos_token": "<eos>"})";
  test::write_file(folder / "tokenizer_config.json", settings);
  test::write_file(folder / "tokenizer.json", file.dump());
  EXPECT_EQ(words(*open_tokenizer(folder / "tokenizer.json"), "b", 3), (Words{4, 1, 0}));
  file["post_processor"] = nullptr;
  test::write_file(folder / "tokenizer.json", file.dump());
  EXPECT_EQ(words(*open_tokenizer(folder / "tokenizer.json"), "b", 3), (Words{0, 4, 0}));
}

TEST(JsonTokenizer, TheSettingsClassSaysTheSideOfPadding) {
  const TempFolder folder;
  test::write_file(folder / "tokenizer.json", bytes_file().dump());
  const auto padded = [&](const std::string& name) {
    test::write_file(folder / "tokenizer_config.json",
                     R"({"pad_token": "<pad>", "tokenizer_class": ")" + name + "\"}");
    return words(*open_tokenizer(folder / "tokenizer.json"), "b", 4);
  };
  EXPECT_EQ(padded("PreTrainedTokenizerFast"), (Words{4, 1, 0, 0}));
  for (const char* name : {"Siglip2Tokenizer", "GemmaTokenizerFast", "LlamaTokenizer"})
    EXPECT_EQ(padded(name), (Words{0, 0, 4, 1})) << name;
}

TEST(JsonTokenizer, ATextMayBeCutAtItsBeginning) {
  const TempFolder folder;
  test::write_file(folder / "tokenizer.json", bytes_file().dump());
  test::write_file(folder / "tokenizer_config.json",
                   R"({"pad_token": "<pad>", "truncation_side": "left"})");
  EXPECT_EQ(words(*open_tokenizer(folder / "tokenizer.json"), "aaabbb", 3), (Words{4, 4, 1}));
}

TEST(JsonTokenizer, MarksAreTheNumbersThatTheTemplateHas) {
  json file = bytes_file();
  file["post_processor"]["special_tokens"] = {{"<eos>", {{"ids", {3, 4}}}}};
  EXPECT_EQ(words(*made(file), "b", 4), (Words{4, 3, 4, 0}));
  file["post_processor"]["special_tokens"]["<eos>"]["ids"] = {3000};
  EXPECT_EQ(refusal(file), "tokenizer tokenizer.json: its mark 3000 is none of its pieces");
  file["post_processor"]["single"] = json::array();
  EXPECT_EQ(refusal(file), "tokenizer tokenizer.json: its template has no place for a text");
}

TEST(JsonTokenizer, ClipsVocabularyGivesTheNumbersOfItsMerges) {
  const TempFolder folder;
  json vocab = {{"<|endoftext|>", 0}, {"<|startoftext|>", 1}, {"a", 2},     {"b", 3},
                {"a</w>", 4},         {"b</w>", 5},           {"ab</w>", 6}};
  test::write_file(folder / "vocab.json", vocab.dump());
  test::write_file(folder / "merges.txt", "#version: 0.2\na b</w>\n");
  const auto tokenizer = open_tokenizer(folder / "merges.txt");
  EXPECT_EQ(words(*tokenizer, "AB  ba", 6), (Words{1, 6, 3, 4, 0, 0}));
  EXPECT_EQ(words(*tokenizer, "a<|endoftext|>b", 6), (Words{1, 4, 0, 5, 0, 0}));
  vocab.erase("<|endoftext|>");
  test::write_file(folder / "vocab.json", vocab.dump());
  EXPECT_NE(error_of<CheckpointError>([&] {
              open_tokenizer(folder / "merges.txt");
            }).find("is no vocabulary of CLIP's"),
            std::string::npos);
}

TEST(JsonTokenizer, DamagedSettingsAreNamed) {
  const TempFolder folder;
  test::write_file(folder / "tokenizer.json", bytes_file().dump());
  test::write_file(folder / "tokenizer_config.json", "{\"pad_token\":");
  const std::string error =
      error_of<CheckpointError>([&] { open_tokenizer(folder / "tokenizer.json"); });
  EXPECT_TRUE(error.starts_with((folder / "tokenizer_config.json").string() + " is damaged"))
      << error;
}

TEST(SentencePiece, WhatSiglipsSettingsChangeIsRefused) {
  const TempFolder folder;
  std::filesystem::copy_file(test::source_path("tests/oracle/tokenizer.model"),
                             folder / "spiece.model");
  const TokenizerOptions siglip{.cleaning = Cleaning::kSiglipByClass,
                                .prefers_sentencepiece = true};
  const auto with = [&](const std::string& settings) {
    test::write_file(folder / "tokenizer_config.json", settings);
    return error_of<UserError>(
        [&] { words(*open_tokenizer(folder / "spiece.model", siglip), "a cat"); });
  };
  EXPECT_EQ(with("{}"), "(nothing thrown)");
  EXPECT_EQ(with(R"({"tokenizer_class": "SiglipTokenizer", "pad_token": "</s>"})"),
            "(nothing thrown)");
  EXPECT_NE(with(R"({"pad_token": "<pad>"})").find("pad_token is '<pad>'"), std::string::npos);
  EXPECT_NE(with(R"({"do_lower_case": false})").find("do_lower_case is false"), std::string::npos);
}

/// "ab" is likelier than a and b, "abc" as one less.
json unigram_file() {
  return {{"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "Metaspace"}}},
          {"post_processor", nullptr},
          {"model",
           {{"type", "Unigram"},
            {"unk_id", 0},
            {"vocab", json::array({json::array({"<unk>", 0.0}), json::array({"\u2581", -1.0}),
                                   json::array({"a", -3.0}), json::array({"b", -3.0}),
                                   json::array({"ab", -4.0}), json::array({"c", -2.0}),
                                   json::array({"abc", -7.0})})}}}};
}

TEST(JsonTokenizer, UnigramTakesTheWayOfTheLargestSum) {
  const auto tokenizer = made(unigram_file());
  EXPECT_EQ(words(*tokenizer, "abc", 4), (Words{1, 4, 5, 0}));
  EXPECT_EQ(words(*tokenizer, "xyc a", 5), (Words{1, 0, 5, 1, 2}));  // unknown letters are one
}

TEST(JsonTokenizer, AddedPiecesAreFoundInTheTextItself) {
  json file = unigram_file();
  file["added_tokens"] = {
      {{"id", 7}, {"content", "<x>"}, {"normalized", false}, {"lstrip", true}, {"rstrip", true}},
      {{"id", 8}, {"content", "ab"}, {"normalized", false}, {"single_word", true}},
      {{"id", 9}, {"content", "<x><x>"}, {"normalized", false}}};
  file["pre_tokenizer"]["prepend_scheme"] = "first";
  const auto tokenizer = made(file);
  EXPECT_EQ(tokenizer->vocab_size(), 10);
  EXPECT_EQ(words(*tokenizer, "c <x> c", 5), (Words{1, 5, 7, 5, 0}));
  EXPECT_EQ(words(*tokenizer, "c<x><x>", 4), (Words{1, 5, 9, 0}));  // the longest
  EXPECT_EQ(words(*tokenizer, "abc", 4), (Words{1, 4, 5, 0}));      // within a word
  EXPECT_EQ(words(*tokenizer, "ab", 2), (Words{8, 0}));
}

TEST(JsonTokenizer, WhatThereIsNotIsRefusedByName) {
  json file = unigram_file();
  file["normalizer"] = {{"type", "Nmt"}};
  EXPECT_EQ(refusal(file), "tokenizer tokenizer.json: its normalizer Nmt is not supported");
  file = unigram_file();
  file["normalizer"] = {{"type", "Replace"}, {"pattern", {{"Regex", "[0-9]"}}}, {"content", ""}};
  EXPECT_EQ(refusal(file),
            "tokenizer tokenizer.json replaces the pattern '[0-9]', which is not supported; want "
            "\\s+ or ' {2,}'");
  file = unigram_file();
  file["pre_tokenizer"] = {{"type", "ByteLevel"}};
  EXPECT_EQ(refusal(file),
            "tokenizer tokenizer.json: its pre-tokenizer ByteLevel is not supported where it "
            "stands");
  file = unigram_file();
  file["model"]["type"] = "WordLevel";
  EXPECT_EQ(refusal(file),
            "tokenizer tokenizer.json: its model WordLevel is not supported; want BPE, Unigram or "
            "WordPiece");
  file = unigram_file();
  file["post_processor"] = {{"type", "Other"}};
  EXPECT_EQ(refusal(file), "tokenizer tokenizer.json: its post-processor Other is not supported");
}

TEST(JsonTokenizer, DamageIsRefused) {
  json file = bytes_file();
  file["model"]["merges"].push_back("a q");
  EXPECT_EQ(refusal(file),
            "tokenizer tokenizer.json: its merge 3 of 'a' and 'q' is of pieces that the vocabulary "
            "has not");
  file = bytes_file();
  file["model"]["vocab"]["a"] = -1;
  EXPECT_EQ(refusal(file), "tokenizer tokenizer.json: its pieces' numbers are not 0 to 100000000");
  file = wordpiece_file();
  file["padding"]["pad_id"] = 10;
  EXPECT_EQ(refusal(file), "tokenizer tokenizer.json: its padding 10 is none of its pieces");
  file = unigram_file();
  file["model"]["unk_id"] = 7;
  EXPECT_EQ(refusal(file), "tokenizer tokenizer.json: unk_id 7 is none of its vocabulary's");
  file = unigram_file();
  file["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAAAA=="}};
  EXPECT_EQ(refusal(file), "tokenizer tokenizer.json: precompiled_charsmap is damaged");
  EXPECT_NE(
      error_of<CheckpointError>([] { make_tokenizer("{\"model\": 3", "t.json"); }).find("damaged"),
      std::string::npos);
  EXPECT_EQ(error_of<CheckpointError>([] { make_tokenizer("[]", "t.json"); }),
            "tokenizer t.json is no tokenizer.json: want an object");
}

}  // namespace
}  // namespace vit22b
