#include "data/tokenizers/html_text.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

constexpr int32_t kReplacement = 0xFFFD;

bool is_digit(int32_t c) {
  return c >= '0' && c <= '9';
}

bool is_hex_digit(int32_t c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_ascii_letter(int32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

const HtmlName* find_name(const std::string& name) {
  const HtmlName* const end = kHtmlNames + kNumHtmlNames;
  const HtmlName* const found =
      std::lower_bound(kHtmlNames, end, name, [](const HtmlName& entry, const std::string& wanted) {
        return entry.name < std::string_view(wanted);
      });
  return found != end && found->name == name ? found : nullptr;
}

/// What HTML 5 takes a number for: Windows' characters for C1 controls, nothing for those that no
/// text may have.
std::string numbered_character(int64_t number) {
  constexpr int64_t kLast = 0x10FFFF;
  if (number == 0 || (number >= 0xD800 && number <= 0xDFFF) || number > kLast)
    return text_of(std::vector<int32_t>{kReplacement});
  const bool is_forbidden =
      (number < 0x20 && std::strchr("\t\n\f\r", static_cast<int>(number)) == nullptr) ||
      number == 0x7F || (number >= 0xFDD0 && number <= 0xFDEF) || (number & 0xFFFE) == 0xFFFE;
  if (is_forbidden) return "";
  return text_of(std::vector<int32_t>{windows_character(static_cast<int32_t>(number))});
}

/// A part of a text that stands for something else.
struct Reference {
  size_t size = 0;  ///< of the part, in characters
  std::string text;
};

/// "#38;", "#x26", from the character behind the &.
std::optional<Reference> numbered(std::span<const int32_t> c) {
  if (c.size() < 2 || c[0] != '#') return std::nullopt;
  const bool is_hex = c[1] == 'x' || c[1] == 'X';
  const size_t first = is_hex ? 2 : 1;
  constexpr int64_t kEnough = int64_t{1} << 32;  // beyond all characters
  int64_t number = 0;
  size_t at = first;
  for (; at < c.size() && (is_hex ? is_hex_digit(c[at]) : is_digit(c[at])); ++at)
    number = std::min(kEnough, number * (is_hex ? 16 : 10) +
                                   (is_digit(c[at]) ? c[at] - '0' : (c[at] | 0x20) - 'a' + 10));
  if (at == first) return std::nullopt;
  if (at < c.size() && c[at] == ';') ++at;
  return Reference{at, numbered_character(number)};
}

/// A name, or the longest that another begins with; what is none stays.
std::optional<Reference> named(std::span<const int32_t> c) {
  constexpr size_t kLongest = 32, kShortestPart = 2;
  size_t size = 0, letters = 0;  // letters: of which names are made
  std::string name;
  const auto is_in_name = [](int32_t x) { return x > 0x7F || !std::strchr("\t\n\f <&#;", x); };
  while (size < std::min(kLongest, c.size()) && c[size] != 0 && is_in_name(c[size])) {
    if (c[size] <= 0x7F && letters == size) {
      name += static_cast<char>(c[size]);
      ++letters;
    }
    ++size;
  }
  if (size == 0) return std::nullopt;
  if (size < c.size() && c[size] == ';') {
    if (letters == size) {
      name += ';';
      ++letters;
    }
    ++size;
  }
  for (; name.size() >= kShortestPart; name.pop_back())
    if (const HtmlName* const found = find_name(name)) return Reference{name.size(), found->text};
  return Reference{size, "&" + text_of(c.first(size))};
}

/// "name;", "NAME;" or "#38;", from the character behind the &.
std::optional<Reference> certain(std::span<const int32_t> c) {
  constexpr size_t kLongest = 24;
  const size_t first = !c.empty() && c[0] == '#' ? 1 : 0;
  size_t at = first;
  std::string name, small;
  for (; at < c.size() && at - first < kLongest && (is_digit(c[at]) || is_ascii_letter(c[at]));
       ++at) {
    name += static_cast<char>(c[at]);
    small += static_cast<char>(is_digit(c[at]) ? c[at] : c[at] | 0x20);
  }
  if (at == first || at == c.size() || c[at] != ';') return std::nullopt;
  if (first == 1) {
    std::optional<Reference> reference = numbered(c);
    const bool is_whole = reference && reference->size == at + 1 && reference->text != ";";
    return is_whole ? reference : std::nullopt;
  }
  if (const HtmlName* const found = find_name(name + ";")) return Reference{at + 1, found->text};
  const bool is_capital = std::none_of(name.begin(), name.end(),
                                       [](char letter) { return letter >= 'a' && letter <= 'z'; });
  const HtmlName* const found = is_capital ? find_name(small + ";") : nullptr;
  if (found == nullptr || *found->capitals == '\0') return std::nullopt;
  return Reference{at + 1, found->capitals};
}

std::string with_references(std::string_view text,
                            std::optional<Reference> (*find)(std::span<const int32_t>)) {
  if (text.find('&') == std::string_view::npos) return std::string(text);
  const std::vector<int32_t> c = characters_of(text);
  std::string out;
  for (size_t at = 0; at < c.size(); ++at) {
    const auto found = c[at] == '&' ? find(std::span(c).subspan(at + 1)) : std::nullopt;
    out += found ? found->text : text_of(std::span(c).subspan(at, 1));
    if (found) at += found->size;
  }
  return out;
}

}  // namespace

int32_t windows_character(int32_t c) {
  constexpr int32_t kFirst = 0x80, kLast = 0x9F;
  static constexpr int32_t kWindows[] = {
      0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
      0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
      0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};
  return c < kFirst || c > kLast ? c : kWindows[c - kFirst];
}

std::string html_unescaped(std::string_view text) {
  return with_references(text, [](std::span<const int32_t> c) {
    const auto number = numbered(c);
    return number ? number : named(c);
  });
}

std::string certain_html_unescaped(std::string_view text) {
  return with_references(text, certain);
}

}  // namespace vit22b
