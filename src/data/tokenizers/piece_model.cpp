#include "data/tokenizers/piece_model.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace vit22b {

int64_t PieceModel::first_id() const {
  int64_t least = 0;
  for (const auto& [piece, id] : ids_) least = std::min(least, id);
  return least;
}

int64_t PieceModel::last_id() const {
  int64_t largest = -1;
  for (const auto& [piece, id] : ids_) largest = std::max(largest, id);
  return largest;
}

bool PieceModel::push_bytes(const std::string& text, std::vector<int64_t>& ids) const {
  std::vector<int64_t> found;
  for (const char byte : text) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(static_cast<uint8_t>(byte)));
    const auto piece = id(name);
    if (!piece) return false;
    found.push_back(*piece);
  }
  ids.insert(ids.end(), found.begin(), found.end());
  return true;
}

std::unique_ptr<PieceModel> make_piece_model(const nlohmann::ordered_json& json,
                                             const std::string& place) {
  const std::string type = json.value("type", json.contains("merges")       ? "BPE"
                                              : json.at("vocab").is_array() ? "Unigram"
                                                                            : "?");
  if (type == "BPE") return make_bpe(json, place);
  if (type == "Unigram") return make_unigram(json, place);
  if (type == "WordPiece") return make_wordpiece(json, place);
  throw CheckpointError(place, ": its model ", type,
                        " is not supported; want BPE, Unigram or WordPiece");
}

}  // namespace vit22b
