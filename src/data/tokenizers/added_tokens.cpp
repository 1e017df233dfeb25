#include "data/tokenizers/added_tokens.h"

#include <algorithm>

#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

bool is_word_character(int32_t c) {
  return is_letter(c) || is_number(c) || c == '_';
}

// Whether no word goes on beside a part of a text.
bool is_alone(std::string_view text, size_t at, size_t size) {
  constexpr size_t kLongest = 4;  // bytes of a character
  const size_t first = at < kLongest ? 0 : at - kLongest;
  const std::vector<int32_t> before = characters_of(text.substr(first, at - first)),
                             after = characters_of(text.substr(at + size, kLongest));
  return (before.empty() || !is_word_character(before.back())) &&
         (after.empty() || !is_word_character(after.front()));
}

}  // namespace

void TokenFinder::add(AddedToken token) {
  if (token.content.empty()) return;
  std::vector<AddedToken>& tokens = by_first_byte_[static_cast<uint8_t>(token.content[0])];
  const auto place = std::find_if(tokens.begin(), tokens.end(), [&](const AddedToken& other) {
    return other.content.size() < token.content.size();
  });
  tokens.insert(place, std::move(token));
}

const AddedToken* TokenFinder::find(std::string_view text, size_t& at) const {
  for (; at < text.size(); ++at)
    for (const AddedToken& token : by_first_byte_[static_cast<uint8_t>(text[at])])
      if (text.substr(at).starts_with(token.content) &&
          (!token.is_word || is_alone(text, at, token.content.size())))
        return &token;
  return nullptr;
}

}  // namespace vit22b
