#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

void append(std::string& out, utf8proc_int32_t character) {
  utf8proc_uint8_t bytes[4];
  const auto size = utf8proc_encode_char(character, bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

// The dotted capital I alone becomes two characters.
void push_lower_case(int32_t character, std::vector<int32_t>& out) {
  constexpr int32_t kDottedCapitalI = 0x130, kDotAbove = 0x307;
  if (character == kDottedCapitalI)
    out.insert(out.end(), {'i', kDotAbove});
  else
    out.push_back(utf8proc_tolower(character));
}

}  // namespace

std::vector<int32_t> characters_of(std::string_view text) {
  constexpr int32_t kReplacement = 0xFFFD;
  std::vector<int32_t> characters;
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t character = 0;
    const auto size = utf8proc_iterate(at, left, &character);
    characters.push_back(size > 0 ? character : kReplacement);
    at += std::max<utf8proc_ssize_t>(size, 1);
    left -= std::max<utf8proc_ssize_t>(size, 1);
  }
  return characters;
}

std::string text_of(std::span<const int32_t> characters) {
  std::string text;
  for (const int32_t character : characters) append(text, character);
  return text;
}

bool is_space(int32_t character) {
  // Python's str.split: the separators' categories, and the controls that count as white space.
  const auto category = utf8proc_category(character);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP || (character >= 0x09 && character <= 0x0D) ||
         (character >= 0x1C && character <= 0x1F) || character == 0x85;
}

bool is_white(int32_t character) {
  return is_space(character) && (character < 0x1C || character > 0x1F);
}

bool is_letter(int32_t c) {
  const auto category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_number(int32_t c) {
  const auto category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

std::string normal_form(const std::string& text, NormalForm form) {
  const bool is_compatible =
                 form == NormalForm::kCompatible || form == NormalForm::kCompatibleDecomposed,
             is_composed = form == NormalForm::kComposed || form == NormalForm::kCompatible;
  const int options = UTF8PROC_STABLE | (is_composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                      (is_compatible ? UTF8PROC_COMPAT : 0);
  utf8proc_uint8_t* mapped = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                                 static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  return size < 0 ? text
                  : std::string(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
}

std::string lower_case_each(std::string_view text) {
  std::vector<int32_t> out;
  for (const int32_t c : characters_of(text)) push_lower_case(c, out);
  return text_of(out);
}

std::string stripped(std::string_view text, bool is_left, bool is_right) {
  const std::vector<int32_t> c = characters_of(text);
  size_t first = 0, last = c.size();
  while (is_left && first < last && is_white(c[first])) ++first;
  while (is_right && last > first && is_white(c[last - 1])) --last;
  return text_of(std::span(c).subspan(first, last - first));
}

std::string single_spaced(std::string_view text) {
  std::vector<int32_t> out;
  bool is_pending = false;
  for (const int32_t c : characters_of(text)) {
    if (is_space(c)) {
      is_pending = !out.empty();
      continue;
    }
    if (is_pending) out.push_back(' ');
    is_pending = false;
    out.push_back(c);
  }
  return text_of(out);
}

std::string lower_case(std::string_view text) {
  constexpr int32_t kCapitalSigma = 0x3A3, kFinalSigma = 0x3C2;
  const std::vector<int32_t> in = characters_of(text);
  std::vector<int32_t> out;
  for (size_t i = 0; i < in.size(); ++i) {
    // The one rule of Unicode's SpecialCasing that looks at neighbours in every language.
    const bool is_final = in[i] == kCapitalSigma && i > 0 && is_letter(in[i - 1]) &&
                          (i + 1 == in.size() || !is_letter(in[i + 1]));
    is_final ? out.push_back(kFinalSigma) : push_lower_case(in[i], out);
  }
  return text_of(out);
}

}  // namespace vit22b
