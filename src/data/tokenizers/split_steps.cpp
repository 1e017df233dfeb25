#include <utf8proc.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "data/tokenizers/text_steps.h"
#include "data/tokenizers/tokenizers.h"

// The pre-tokenizers of a tokenizer.json.
namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
using Texts = std::vector<std::string>;

constexpr std::string_view kSpaceMark = "\u2581";
// CLIP's pattern as its tokenizer.json has it, in two versions of transformers. The marks of the
// second are added tokens, which are found before; what else looks so is cut by GPT-2's pattern
// into what the first gives.
constexpr std::string_view kClipPatterns[] = {
    kClipPattern,
    R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)"};

bool is_clips(const std::string& regex) {
  return std::find(std::begin(kClipPatterns), std::end(kClipPatterns), regex) !=
         std::end(kClipPatterns);
}

/// A step that cuts each part by itself; the first piece of the first stays the first.
SplitStep each(std::function<Texts(const TextPart&)> cut) {
  return [cut = std::move(cut)](const std::vector<TextPart>& parts) {
    std::vector<TextPart> out;
    for (const TextPart& part : parts) {
      bool is_first = part.is_first;
      for (std::string& text : cut(part)) {
        if (!text.empty()) out.push_back({std::move(text), is_first});
        is_first = false;
      }
    }
    return out;
  };
}

/// Texts cut at what separates, by what becomes of it.
Texts cut_at(const std::string& text, const std::string& separator, const std::string& behavior) {
  Texts out;
  std::string piece;
  const auto end_piece = [&] {
    if (!piece.empty()) out.push_back(std::move(piece));
    piece.clear();
  };
  size_t at = 0;
  for (size_t found; (found = text.find(separator, at)) != std::string::npos;
       at = found + separator.size()) {
    piece.append(text, at, found - at);
    if (behavior == "MergedWithPrevious") piece += separator;
    end_piece();
    if (behavior == "Isolated") out.push_back(separator);
    if (behavior == "MergedWithNext") piece = separator;
  }
  piece.append(text, at);
  end_piece();
  return out;
}

SplitStep split_step(const Json& json, const std::string& place) {
  const auto behavior = json.at("behavior").get<std::string>();
  const bool is_inverted = json.value("invert", false);
  const Json& pattern = json.at("pattern");
  if (pattern.contains("Regex")) {
    const auto regex = pattern.at("Regex").get<std::string>();
    if (!is_clips(regex) || behavior != "Removed" || !is_inverted)
      throw CheckpointError(place, " splits by the pattern '", regex,
                            "', which is not supported; CLIP's is");
    return each([](const TextPart& part) { return clip_words(part.text, {}); });
  }
  const auto separator = pattern.at("String").get<std::string>();
  constexpr std::string_view kBehaviors[] = {"Removed", "Isolated", "MergedWithPrevious",
                                             "MergedWithNext"};
  if (is_inverted || separator.empty() ||
      std::find(std::begin(kBehaviors), std::end(kBehaviors), behavior) == std::end(kBehaviors))
    throw CheckpointError(place, " splits at '", separator, "' as ", behavior,
                          is_inverted ? ", inverted" : "", ", which is not supported");
  return each([separator, behavior](const TextPart& part) {
    return cut_at(part.text, separator, behavior);
  });
}

/// Spaces become marks, one before the text, and each begins a piece.
SplitStep metaspace_step(const Json& json, const std::string& place) {
  const std::string mark = json.value("replacement", std::string(kSpaceMark));
  const std::string scheme =
      json.value("prepend_scheme", json.value("add_prefix_space", true) ? "always" : "never");
  const bool cuts = json.value("split", true);
  if (scheme != "always" && scheme != "first" && scheme != "never")
    throw CheckpointError(place, ": its prepend_scheme '", scheme,
                          "' is none of always, first, never");
  if (mark.empty()) throw CheckpointError(place, ": its Metaspace has no replacement");
  return each([=](const TextPart& part) {
    std::string text;
    for (const char c : part.text) c == ' ' ? text += mark : text += c;
    const bool is_prepended = scheme == "always" || (scheme == "first" && part.is_first);
    if (is_prepended && !text.starts_with(mark)) text.insert(0, mark);
    return cuts ? cut_at(text, mark, "MergedWithNext") : Texts{text};
  });
}

Texts cut_at_spaces(const TextPart& part) {
  Texts out(1);
  for (const int32_t c : characters_of(part.text)) {
    if (!is_white(c))
      out.back() += text_of({&c, 1});
    else if (!out.back().empty())
      out.emplace_back();
  }
  return out;
}

bool is_punctuation(int32_t c) {
  const bool is_ascii = (c >= '!' && c <= '/') || (c >= ':' && c <= '@') ||
                        (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
  const auto category = utf8proc_category(c);
  return is_ascii || (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO);
}

Texts bert_words(const TextPart& part) {
  Texts out;
  for (const std::string& word : cut_at_spaces(part)) {
    out.emplace_back();
    for (const int32_t c : characters_of(word)) {
      const bool is_alone = is_punctuation(c);
      if (is_alone) out.emplace_back();
      out.back() += text_of({&c, 1});
      if (is_alone) out.emplace_back();
    }
  }
  return out;
}

std::string as_byte_characters(const std::string& text) {
  std::vector<int32_t> out;
  out.reserve(text.size());
  for (const char byte : text) out.push_back(byte_characters()[static_cast<uint8_t>(byte)]);
  return text_of(out);
}

SplitStep byte_step() {
  return each([](const TextPart& part) { return Texts{as_byte_characters(part.text)}; });
}

// Words of CLIP's pattern are words of GPT-2's too, by which this one cuts unless it is told not
// to.
bool is_cut_by_clip(const Json& all) {
  const Json pattern = all.front().value("pattern", Json());
  return all.front().value("type", "") == "Split" && pattern.contains("Regex") &&
         is_clips(pattern.at("Regex").get<std::string>());
}

SplitStep split_sequence(const Json& json, const std::string& place) {
  const Json& all = json.at("pretokenizers");
  std::vector<SplitStep> steps;
  for (const Json& one : all) {
    const bool is_bytes = one.value("type", "") == "ByteLevel";
    if (is_bytes && !steps.empty() && is_cut_by_clip(all) && !one.value("add_prefix_space", true))
      steps.push_back(byte_step());
    else
      steps.push_back(make_split_step(one, place));
  }
  return [steps](std::vector<TextPart> parts) {
    for (const SplitStep& step : steps) parts = step(std::move(parts));
    return parts;
  };
}

}  // namespace

SplitStep make_split_step(const Json& json, const std::string& place) {
  if (json.is_null()) return [](std::vector<TextPart> parts) { return parts; };
  const auto type = json.at("type").get<std::string>();
  if (type == "Sequence") return split_sequence(json, place);
  if (type == "Split") return split_step(json, place);
  if (type == "Metaspace") return metaspace_step(json, place);
  if (type == "WhitespaceSplit") return each(cut_at_spaces);
  if (type == "BertPreTokenizer") return each(bert_words);
  if (type == "ByteLevel" && !json.value("use_regex", true) &&
      !json.value("add_prefix_space", true))
    return byte_step();
  throw CheckpointError(place, ": its pre-tokenizer ", type, " is not supported where it stands");
}

}  // namespace vit22b
