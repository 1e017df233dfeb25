#pragma once
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace vit22b {

/// Changes a text: one of tokenizer.json's normalizers.
using TextStep = std::function<std::string(std::string text)>;

/// The `normalizer` of a tokenizer.json; one that changes nothing for null.
///
/// place   for messages
/// throws  CheckpointError naming a kind or a pattern that there is not
TextStep make_text_step(const nlohmann::ordered_json& json, const std::string& place);

/// SentencePiece's own normalisation from its compiled table (`precompiled_charsmap`), applied as
/// Hugging Face's tokenizers do: to grapheme clusters under 6 bytes, else to their characters.
///
/// blob    not base64
/// throws  CheckpointError for a table that is none
TextStep make_charsmap(const std::string& blob, const std::string& place);

/// CLIP's words, as its tokenizer.json has them.
constexpr const char* kClipPattern = R"('s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";

/// A part of a text, and whether it is its beginning.
struct TextPart {
  std::string text;
  bool is_first = false;
};
/// Cuts parts: one of tokenizer.json's pre-tokenizers.
using SplitStep = std::function<std::vector<TextPart>(std::vector<TextPart> parts)>;

/// The `pre_tokenizer` of a tokenizer.json; one that cuts nothing for null.
///
/// throws  as make_text_step
SplitStep make_split_step(const nlohmann::ordered_json& json, const std::string& place);

}  // namespace vit22b
