#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/json.h"
#include "data/tokenizers/piece_model.h"
#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

class WordPiece : public PieceModel {
 public:
  WordPiece(const Json& json, const std::string& place)
      : prefix_(json.value("continuing_subword_prefix", "##")),
        longest_word_(json.contains("max_input_chars_per_word")
                          ? whole_number(json.at("max_input_chars_per_word"))
                          : kLongestWord) {
    for (const auto& [piece, number] : json.at("vocab").items())
      ids_.emplace(piece, whole_number(number));
    const std::string unknown = json.value("unk_token", "[UNK]");
    if (!id(unknown))
      throw CheckpointError(place, ": its vocabulary has not '", unknown, "', its unknown piece");
    unknown_ = *id(unknown);
  }

  void encode(const std::string& word, std::vector<int64_t>& ids) const override {
    const std::vector<int32_t> c = characters_of(word);
    std::vector<int64_t> found;
    if (static_cast<int64_t>(c.size()) > longest_word_) return ids.push_back(unknown_);
    for (size_t at = 0; at < c.size();) {
      size_t size = c.size() - at;
      std::optional<int64_t> piece;
      for (; size > 0 && !piece; --size)
        piece = id((at > 0 ? prefix_ : "") + text_of(std::span(c).subspan(at, size)));
      if (!piece) return ids.push_back(unknown_);
      found.push_back(*piece);
      at += size + 1;
    }
    ids.insert(ids.end(), found.begin(), found.end());
  }

 private:
  static constexpr int64_t kLongestWord = 100;
  std::string prefix_;
  int64_t longest_word_, unknown_ = 0;
};

}  // namespace

std::unique_ptr<PieceModel> make_wordpiece(const Json& json, const std::string& place) {
  return std::make_unique<WordPiece>(json, place);
}

}  // namespace vit22b
