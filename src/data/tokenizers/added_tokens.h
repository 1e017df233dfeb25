#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vit22b {

/// A piece that is looked for in the text itself, before words are cut.
struct AddedToken {
  std::string content;
  int64_t id = 0;
  bool is_word = false;                          ///< not within a word
  bool takes_left = false, takes_right = false;  ///< white space beside it
};

/// Finds the first of some tokens in a text, at one place the longest.
class TokenFinder {
 public:
  void add(AddedToken token);
  /// From `at` on, which becomes the token's place; null where there is none.
  const AddedToken* find(std::string_view text, size_t& at) const;

 private:
  std::array<std::vector<AddedToken>, 256> by_first_byte_;  ///< the longest first
};

}  // namespace vit22b
