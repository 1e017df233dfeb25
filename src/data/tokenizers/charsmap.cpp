#include <utf8proc.h>

#include <cstring>
#include <optional>

#include "core/error.h"
#include "data/tokenizers/text_steps.h"
#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

/// A double-array trie of UTF-8 texts, and what they become: [int32 size of the trie in bytes]
/// [units of 32 bits][texts that end with 0], little-endian (SentencePiece's normalizer.cc; the
/// units are Darts-clone's).
class Charsmap {
 public:
  Charsmap(const std::string& blob, const std::string& place) {
    uint32_t size = 0;
    if (blob.size() >= sizeof size) std::memcpy(&size, blob.data(), sizeof size);
    if (size < sizeof size || size % sizeof size != 0 || size > blob.size() - sizeof size)
      throw CheckpointError(place, ": precompiled_charsmap is damaged");
    units_.resize(size / sizeof size);
    std::memcpy(units_.data(), blob.data() + sizeof size, size);
    texts_ = blob.substr(sizeof size + size);
  }

  std::string operator()(const std::string& text) const {
    constexpr size_t kShort = 6;  // bytes of a cluster that is looked up whole
    std::string out;
    for (const std::string& cluster : clusters(text)) {
      if (const auto whole = cluster.size() < kShort ? changed(cluster) : std::nullopt) {
        out += *whole;
        continue;
      }
      for (const int32_t character : characters_of(cluster)) {
        const std::string one = text_of({&character, 1});
        out += changed(one).value_or(one);
      }
    }
    return out;
  }

 private:
  static std::vector<std::string> clusters(const std::string& text) {
    std::vector<std::string> found;
    int32_t last = 0, state = 0;
    for (const int32_t c : characters_of(text)) {
      if (found.empty() || utf8proc_grapheme_break_stateful(last, c, &state)) found.emplace_back();
      found.back() += text_of({&c, 1});
      last = c;
    }
    return found;
  }

  /// What the shortest beginning of a key that is in the table becomes.
  std::optional<std::string> changed(const std::string& key) const {
    size_t at = 0;
    const auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); };
    at ^= offset(units_[0]);
    for (const char byte : key) {
      const auto label = static_cast<uint8_t>(byte);
      at ^= label;
      if (label == 0 || at >= units_.size()) return std::nullopt;
      const uint32_t unit = units_[at];
      if ((unit & ((1U << 31) | 0xFF)) != label) return std::nullopt;
      at ^= offset(unit);
      if (((unit >> 8) & 1) == 0) continue;
      const size_t first = at < units_.size() ? units_[at] & ~(1U << 31) : texts_.size();
      if (first >= texts_.size()) return std::nullopt;
      return texts_.substr(first, texts_.find('\0', first) - first);
    }
    return std::nullopt;
  }

  std::vector<uint32_t> units_;
  std::string texts_;
};

}  // namespace

TextStep make_charsmap(const std::string& blob, const std::string& place) {
  return [map = Charsmap(blob, place)](const std::string& text) { return map(text); };
}

}  // namespace vit22b
