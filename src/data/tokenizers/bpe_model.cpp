#include <nlohmann/json.hpp>
#include <queue>

#include "core/error.h"
#include "core/json.h"
#include "data/tokenizers/piece_model.h"
#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

std::string text_or_empty(const Json& json, const char* key) {
  return json.contains(key) && json.at(key).is_string() ? json.at(key).get<std::string>() : "";
}

class Bpe : public PieceModel {
 public:
  Bpe(const Json& json, const std::string& place)
      : prefix_(text_or_empty(json, "continuing_subword_prefix")),
        suffix_(text_or_empty(json, "end_of_word_suffix")),
        fuses_unknown_(json.value("fuse_unk", false)),
        ignores_merges_(json.value("ignore_merges", false)),
        has_bytes_(json.value("byte_fallback", false)) {
    for (const auto& [piece, number] : json.at("vocab").items())
      ids_.emplace(piece, whole_number(number));
    take_merges(json.at("merges"), place);
    const std::string unknown = text_or_empty(json, "unk_token");
    if (!unknown.empty()) unknown_ = id(unknown);
    if (ids_.empty() || (!unknown.empty() && !unknown_))
      throw CheckpointError(place, ": its vocabulary is empty, or has not its unk_token '", unknown,
                            "'");
  }

  void encode(const std::string& word, std::vector<int64_t>& ids) const override {
    if (const auto whole = id(word); ignores_merges_ && whole) return ids.push_back(*whole);
    std::vector<Symbol> symbols = symbols_of(word);
    merge(symbols);
    for (const Symbol& symbol : symbols)
      if (!symbol.is_gone) ids.push_back(symbol.id);
  }

 private:
  struct Merge {
    int64_t rank, id;
  };
  /// A piece, and its neighbours' places; -1 for none.
  struct Symbol {
    int64_t id, last, next;
    bool is_gone = false;
  };
  struct Candidate {
    int64_t rank, at, id;
    bool operator>(const Candidate& other) const {
      return std::pair(rank, at) > std::pair(other.rank, other.at);
    }
  };

  static uint64_t key_of(int64_t left, int64_t right) {
    return (static_cast<uint64_t>(left) << 32) | static_cast<uint32_t>(right);
  }

  void take_merges(const Json& merges, const std::string& place) {
    int64_t rank = 0;
    for (const Json& merge : merges) {
      std::string left, right;
      if (merge.is_string()) {
        const auto text = merge.get<std::string>();
        const size_t space = text.find(' ');
        left = text.substr(0, space);
        right = space == std::string::npos ? "" : text.substr(space + 1);
      } else {
        left = merge.at(0).get<std::string>();
        right = merge.at(1).get<std::string>();
      }
      // A right piece's prefix within a word is no part of the whole.
      const std::string whole =
          left + (right.starts_with(prefix_) ? right.substr(prefix_.size()) : right);
      const auto a = id(left), b = id(right), c = id(whole);
      if (!a || !b || !c)
        throw CheckpointError(place, ": its merge ", rank, " of '", left, "' and '", right,
                              "' is of pieces that the vocabulary has not");
      merges_.insert_or_assign(key_of(*a, *b), Merge{rank++, *c});
    }
  }

  std::vector<Symbol> symbols_of(const std::string& word) const {
    std::vector<int64_t> pieces;
    std::optional<int64_t> pending;  // an unknown piece that may grow
    const std::vector<int32_t> characters = characters_of(word);
    for (size_t i = 0; i < characters.size(); ++i) {
      std::string text = text_of({&characters[i], 1});
      if (i > 0) text.insert(0, prefix_);
      if (i + 1 == characters.size()) text += suffix_;
      if (const auto known = id(text)) {
        if (pending) pieces.push_back(*std::exchange(pending, std::nullopt));
        pieces.push_back(*known);
      } else if (!(has_bytes_ && push_bytes(text, pieces)) && unknown_) {
        if (pending && !fuses_unknown_) pieces.push_back(*pending);
        pending = unknown_;
      }
    }
    if (pending) pieces.push_back(*pending);
    std::vector<Symbol> symbols;
    const auto count = static_cast<int64_t>(pieces.size());
    for (int64_t i = 0; i < count; ++i)
      symbols.push_back({pieces[static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
    return symbols;
  }

  /// Joins neighbours, the merge of the lowest rank first, of equal ones the leftmost.
  void merge(std::vector<Symbol>& symbols) const {
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
    const auto at = [&](int64_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };
    const auto found = [&](int64_t left) -> const Merge* {
      if (left < 0 || at(left).next < 0) return nullptr;
      const auto it = merges_.find(key_of(at(left).id, at(at(left).next).id));
      return it == merges_.end() ? nullptr : &it->second;
    };
    const auto propose = [&](int64_t left) {
      if (const Merge* merge = found(left)) queue.push({merge->rank, left, merge->id});
    };
    for (int64_t i = 0; i < static_cast<int64_t>(symbols.size()); ++i) propose(i);
    while (!queue.empty()) {
      const Candidate best = queue.top();
      queue.pop();
      Symbol& left = at(best.at);
      const Merge* merge = left.is_gone ? nullptr : found(best.at);
      if (merge == nullptr || merge->id != best.id) continue;  // its pieces have been joined since
      Symbol& right = at(left.next);
      right.is_gone = true;
      left.id = best.id;
      left.next = right.next;
      if (left.next >= 0) at(left.next).last = best.at;
      propose(left.last);
      propose(best.at);
    }
  }

  std::string prefix_, suffix_;
  bool fuses_unknown_, ignores_merges_, has_bytes_;
  std::optional<int64_t> unknown_;
  std::unordered_map<uint64_t, Merge> merges_;
};

}  // namespace

std::unique_ptr<PieceModel> make_bpe(const Json& json, const std::string& place) {
  return std::make_unique<Bpe>(json, place);
}

}  // namespace vit22b
