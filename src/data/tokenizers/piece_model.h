#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace vit22b {

/// The `model` of a tokenizer.json: cuts a word into pieces of a vocabulary.
class PieceModel {
 public:
  virtual ~PieceModel() = default;
  /// Appends the pieces' numbers.
  virtual void encode(const std::string& word, std::vector<int64_t>& ids) const = 0;

  std::optional<int64_t> id(const std::string& piece) const {
    const auto it = ids_.find(piece);
    return it == ids_.end() ? std::nullopt : std::optional(it->second);
  }
  /// The least and the largest number; 0 and -1 of none.
  int64_t first_id() const;
  int64_t last_id() const;

 protected:
  /// Appends a text's bytes as their pieces <0xNN>; nothing and false where one is missing.
  bool push_bytes(const std::string& text, std::vector<int64_t>& ids) const;

  std::unordered_map<std::string, int64_t> ids_;
};

/// Byte-pair merges, by rank; bytes as <0xNN> where `byte_fallback` says so.
std::unique_ptr<PieceModel> make_bpe(const nlohmann::ordered_json& json, const std::string& place);
/// The pieces whose scores' sum is largest.
std::unique_ptr<PieceModel> make_unigram(const nlohmann::ordered_json& json,
                                         const std::string& place);
/// The longest piece first, those within a word with a prefix (BERT).
std::unique_ptr<PieceModel> make_wordpiece(const nlohmann::ordered_json& json,
                                           const std::string& place);

/// The model of the kind that `type` names, or that its keys are of.
///
/// throws  CheckpointError for another, and a JSON exception
std::unique_ptr<PieceModel> make_piece_model(const nlohmann::ordered_json& json,
                                             const std::string& place);

}  // namespace vit22b
