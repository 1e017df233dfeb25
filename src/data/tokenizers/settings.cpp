#include "data/tokenizers/settings.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/text.h"
#include "data/tokenizers/text_steps.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kLimit = size_t{64} << 20;
constexpr const char* kName = "tokenizer_config.json";

// What SigLIP's class is told beside what it does by itself is not done here.
void check_siglip(const TokenizerSettings& settings) {
  constexpr std::pair<const char*, const char*> kDefaults[] = {{"pad_token", "</s>"},
                                                               {"eos_token", "</s>"},
                                                               {"unk_token", "<unk>"},
                                                               {"padding_side", "right"},
                                                               {"truncation_side", "right"}};
  for (const auto& [key, usual] : kDefaults)
    if (const std::string word = settings.word(key); !word.empty() && word != usual)
      throw CheckpointError(settings.place(), ": ", key, " is '", word,
                            "', which is not read with a SentencePiece model; want '", usual, "'");
  if (settings.value("do_lower_case") == false)
    throw CheckpointError(settings.place(),
                          ": do_lower_case is false, which is not read with SigLIP's tokenizer");
}

// transformers' classes for Gemma, Llama and SigLIP 2 pad at the left where nothing else is said.
bool pads_left(const TokenizerSettings& settings) {
  const std::string side = settings.word("padding_side"), name = settings.word("tokenizer_class");
  const bool is_left =
      name.starts_with("Gemma") || name.starts_with("Llama") || name.starts_with("Siglip2");
  return side.empty() ? is_left : side == "left";
}

Json template_of(const TokenizerSettings& settings) {
  Json single = Json::array();
  const auto mark = [&](const char* flag, const char* key) {
    if (settings.value(flag) == true && !settings.word(key).empty())
      single.push_back({{"SpecialToken", {{"id", settings.word(key)}}}});
  };
  mark("add_bos_token", "bos_token");
  single.push_back({{"Sequence", {{"id", "A"}}}});
  mark("add_eos_token", "eos_token");
  return {{"type", "TemplateProcessing"}, {"single", single}};
}

// Tokens that only the settings have: with their numbers, or by the names of what they are for.
void take_tokens(const TokenizerSettings& settings,
                 const std::function<std::optional<int64_t>(const std::string&)>& id, Json& added) {
  const auto is_there = [&](const std::string& content) {
    return std::any_of(added.begin(), added.end(),
                       [&](const Json& token) { return token.value("content", "") == content; });
  };
  Json numbered = settings.value("added_tokens_decoder");
  if (!numbered.is_object()) numbered = Json::object();
  for (const auto& [number, token] : numbered.items()) {
    if (!token.is_object() || is_there(token.value("content", ""))) continue;
    const auto id_of_token = leading_number(number);
    if (!id_of_token || !id_of_token->second.empty())
      throw CheckpointError(settings.place(), ": added_tokens_decoder has the number '", number,
                            "'");
    Json own = token;
    own["id"] = id_of_token->first;
    added.push_back(own);
  }
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                          "cls_token", "mask_token"}) {
    const std::string content = settings.word(key);
    if (content.empty() || is_there(content)) continue;
    // One that is not in the vocabulary would be a number that the model has not.
    if (const auto number = id(content))
      added.push_back({{"id", *number}, {"content", content}, {"normalized", false}});
  }
}

}  // namespace

void take_settings(const TokenizerSettings& settings,
                   const std::function<std::optional<int64_t>(const std::string&)>& id,
                   Json& json) {
  if (settings.value("split_special_tokens") == true)
    throw CheckpointError(settings.place(), ": split_special_tokens is not supported");
  if (!json.contains("added_tokens") || !json.at("added_tokens").is_array())
    json["added_tokens"] = Json::array();
  take_tokens(settings, id, json.at("added_tokens"));
  if (json.value("post_processor", Json()).is_null())
    json["post_processor"] = template_of(settings);
  if (const std::string padding = settings.word("pad_token"); !padding.empty())
    json["padding"] = {{"pad_token", padding},
                       {"direction", pads_left(settings) ? "Left" : "Right"}};
  if (const std::string side = settings.word("truncation_side"); !side.empty())
    json["truncation"] = {{"direction", side == "left" ? "Left" : "Right"}};
}

Json TokenizerSettings::value(const std::string& key) const {
  return json_ == nullptr ? Json() : json_->value(key, Json());
}

std::string TokenizerSettings::word(const std::string& key) const {
  Json said = value(key);
  if (said.is_object()) said = said.value("content", Json());
  return said.is_string() ? said.get<std::string>() : "";
}

TokenizerSettings read_tokenizer_settings(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kName;
  if (!std::filesystem::exists(path)) return {};
  try {
    auto json = std::make_shared<const Json>(parse_json<Json>(
        read_text(path, ExitCode::kCheckpoint, kLimit), path.string(), ExitCode::kCheckpoint));
    if (!json->is_object()) throw CheckpointError(path.string(), ": want a JSON object");
    return TokenizerSettings(std::move(json), path.string());
  } catch (const Json::exception& e) {
    throw CheckpointError(path.string(), " is damaged (", e.what(), ")");
  }
}

TokenizerOptions resolved_options(TokenizerOptions options, const TokenizerSettings& settings,
                                  const std::string& tokenizer) {
  if (options.cleaning != Cleaning::kSiglipByClass) return options;
  const std::string name = settings.word("tokenizer_class");
  const bool is_model = tokenizer.ends_with(".model");
  const bool is_siglip = name.starts_with("SiglipTokenizer") ||
                         (name.empty() && is_model && options.prefers_sentencepiece);
  options.pads_with_zero = is_model && !is_siglip;
  options.cleaning =
      is_siglip ? Cleaning::kSiglip
      : name.starts_with("Siglip2") || (name.empty() && !options.prefers_sentencepiece)
          ? Cleaning::kLower
          : Cleaning::kNone;
  if (is_siglip) check_siglip(settings);
  return options;
}

std::string clip_json(const std::string& merges, const std::string& vocabulary,
                      const std::string& place) {
  constexpr const char *kFirst = "<|startoftext|>", *kLast = "<|endoftext|>";
  try {
    const Json vocab = parse_json<Json>(vocabulary, place, ExitCode::kCheckpoint);
    Json pairs = Json::array(), added = Json::array();
    for (const std::string& line : split(merges, '\n'))
      if (const std::string pair = trim(line); !pair.empty() && !pair.starts_with("#version"))
        pairs.push_back(pair);
    for (const char* mark : {kFirst, kLast})
      added.push_back({{"id", vocab.at(mark)}, {"content", mark}, {"normalized", false}});
    const Json split_words = {{"type", "Split"},
                              {"pattern", {{"Regex", kClipPattern}}},
                              {"behavior", "Removed"},
                              {"invert", true}};
    return Json{
        {"added_tokens", added},
        {"normalizer",
         {{"type", "Sequence"},
          {"normalizers",
           {{{"type", "NFC"}},
            {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}},
            {{"type", "Lowercase"}}}}}},
        {"pre_tokenizer",
         {{"type", "Sequence"},
          {"pretokenizers", {split_words, {{"type", "ByteLevel"}, {"add_prefix_space", false}}}}}},
        {"post_processor",
         {{"type", "RobertaProcessing"},
          {"cls", {kFirst, vocab.at(kFirst)}},
          {"sep", {kLast, vocab.at(kLast)}}}},
        {"padding", {{"pad_id", vocab.at(kLast)}, {"direction", "Right"}}},
        {"model",
         {{"type", "BPE"},
          {"unk_token", kLast},
          {"end_of_word_suffix", "</w>"},
          {"vocab", vocab},
          {"merges", pairs}}}}
        .dump();
  } catch (const Json::exception& e) {
    throw CheckpointError(place, " is no vocabulary of CLIP's (", e.what(), ")");
  }
}

}  // namespace vit22b
