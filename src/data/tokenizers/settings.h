#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "data/tokenizer_options.h"

namespace vit22b {

/// A tokenizer_config.json of Hugging Face's transformers: what a tokenizer's class is told.
class TokenizerSettings {
 public:
  /// There is none.
  TokenizerSettings() = default;
  explicit TokenizerSettings(std::shared_ptr<const nlohmann::ordered_json> json, std::string place)
      : json_(std::move(json)), place_(std::move(place)) {}

  const std::string& place() const { return place_; }
  /// Null where it is not there.
  nlohmann::ordered_json value(const std::string& key) const;
  /// A word, or the content of a token; "" where it is none.
  std::string word(const std::string& key) const;

 private:
  std::shared_ptr<const nlohmann::ordered_json> json_;
  std::string place_;
};

/// The one of a folder.
///
/// throws  CheckpointError naming a file that is damaged
TokenizerSettings read_tokenizer_settings(const std::filesystem::path& folder);

/// What SigLIP's classes do with texts, by the class that the settings name: SigLIP's for a
/// SentencePiece model and none named, SigLIP 2's, or none for any other.
///
/// throws  CheckpointError for settings of SigLIP's class that its SentencePiece model is not read
///         with
TokenizerOptions resolved_options(TokenizerOptions options, const TokenizerSettings& settings,
                                  const std::string& tokenizer);

/// Writes into a tokenizer.json what transformers takes from its settings, and for which its own
/// format has a place: padding, from which side a text is cut, tokens, and marks around a text
/// where the json has none.
///
/// id      a piece's number in the vocabulary
/// throws  CheckpointError naming what is not supported
void take_settings(const TokenizerSettings& settings,
                   const std::function<std::optional<int64_t>(const std::string&)>& id,
                   nlohmann::ordered_json& json);

/// CLIP's tokenizer.json of its merges and vocab.json.
std::string clip_json(const std::string& merges, const std::string& vocabulary,
                      const std::string& place);

}  // namespace vit22b
