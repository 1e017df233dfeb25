#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/json.h"
#include "data/tokenizers/piece_model.h"
#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kUnknownPenalty = 10;  // SentencePiece's, below the least score

class Unigram : public PieceModel {
 public:
  Unigram(const Json& json, const std::string& place)
      : has_bytes_(json.value("byte_fallback", false)) {
    for (const Json& entry : json.at("vocab")) {
      const auto piece = entry.at(0).get<std::string>();
      ids_.emplace(piece, static_cast<int64_t>(scores_.size()));
      scores_.push_back(entry.at(1).get<double>());
      longest_ = std::max(longest_, piece.size());
    }
    if (scores_.empty()) throw CheckpointError(place, ": its vocabulary is empty");
    unknown_score_ = *std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty;
    if (json.contains("unk_id") && !json.at("unk_id").is_null()) {
      unknown_ = whole_number(json.at("unk_id"));
      if (*unknown_ < 0 || *unknown_ >= static_cast<int64_t>(scores_.size()))
        throw CheckpointError(place, ": unk_id ", *unknown_, " is none of its vocabulary's");
    }
    if (!unknown_) throw CheckpointError(place, ": its Unigram model has no unk_id");
  }

  void encode(const std::string& word, std::vector<int64_t>& ids) const override {
    for (const std::string& piece : best_pieces(word)) {
      if (const auto known = id(piece))
        ids.push_back(*known);
      else if (!has_bytes_ || !push_bytes(piece, ids))
        ids.push_back(*unknown_);
    }
  }

 private:
  /// The best way to a place of the word.
  struct Node {
    int64_t id = -1;
    double score = 0;
    size_t start = std::string::npos;
    void offer(int64_t piece, double sum, size_t from) {
      if (start == std::string::npos || sum > score) *this = {piece, sum, from};
    }
  };

  std::vector<std::string> best_pieces(const std::string& word) const {
    std::vector<Node> nodes(word.size() + 1);
    for (size_t at = 0; at < word.size();) {
      const size_t character = size_of_character(word, at);
      bool is_covered = false;
      for (size_t size = 1; size <= std::min(longest_, word.size() - at); ++size)
        if (const auto piece = id(word.substr(at, size))) {
          nodes[at + size].offer(*piece, nodes[at].score + scores_[static_cast<size_t>(*piece)],
                                 at);
          is_covered = is_covered || size == character;
        }
      if (!is_covered) nodes[at + character].offer(*unknown_, nodes[at].score + unknown_score_, at);
      at += character;
    }
    return pieces_on_way(word, nodes);
  }

  static size_t size_of_character(const std::string& word, size_t at) {
    size_t size = 1;
    while (at + size < word.size() && (static_cast<uint8_t>(word[at + size]) & 0xC0) == 0x80)
      ++size;
    return size;
  }

  // Unknown pieces that are neighbours are one.
  std::vector<std::string> pieces_on_way(const std::string& word,
                                         const std::vector<Node>& nodes) const {
    std::vector<std::string> pieces;
    std::string unknown;
    const auto end_unknown = [&] {
      if (!unknown.empty()) pieces.push_back(std::move(unknown));
      unknown.clear();
    };
    for (size_t end = word.size(); end > 0;) {
      const Node& node = nodes[end];
      std::string piece = word.substr(node.start, end - node.start);
      if (node.id == *unknown_) {
        unknown.insert(0, piece);
      } else {
        end_unknown();
        pieces.push_back(std::move(piece));
      }
      end = node.start;
    }
    end_unknown();
    std::reverse(pieces.begin(), pieces.end());
    return pieces;
  }

  bool has_bytes_;
  std::vector<double> scores_;
  double unknown_score_ = 0;
  size_t longest_ = 0;
  std::optional<int64_t> unknown_;
};

}  // namespace

std::unique_ptr<PieceModel> make_unigram(const Json& json, const std::string& place) {
  return std::make_unique<Unigram>(json, place);
}

}  // namespace vit22b
