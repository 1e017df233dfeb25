#pragma once
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
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

  bool exists() const { return json_ != nullptr; }
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

/// CLIP's tokenizer.json of its merges and vocab.json.
std::string clip_json(const std::string& merges, const std::string& vocabulary,
                      const std::string& place);

}  // namespace vit22b
