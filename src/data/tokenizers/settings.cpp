#include "data/tokenizers/settings.h"

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

}  // namespace

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
