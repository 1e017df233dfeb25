#include "core/toml_text.h"

#include <algorithm>

#include "core/text.h"

namespace vit22b {
namespace {

constexpr int kMostParts = 32;
constexpr std::string_view kBeforeStrings = "\n=,[{.";

/// Where the text goes on behind the string that begins with a quote at `at`: at its end, or where
/// the parser finds it unfinished.
size_t behind_string(std::string_view text, size_t at) {
  const char quote = text[at];
  const std::string three(3, quote);
  const bool is_long = text.substr(at, 3) == three;
  for (at += is_long ? 3 : 1; at < text.size(); ++at) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (!is_long && text[at] == '\n') {
      return at;
    } else if (text[at] == quote && (!is_long || text.substr(at, 3) == three)) {
      return at + (is_long ? 3 : 1);
    }
  }
  return text.size();
}

}  // namespace

std::optional<std::string> toml_fault(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  const auto fault = [&](size_t at, const char* what) {
    return concat(1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(at), '\n'),
                  ": ", what);
  };
  int parts = 1;
  char before = '\n';  // the last letter that is no space
  size_t at = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  while (at < text.size()) {
    const char c = text[at];
    // Elsewhere a quote begins no string: the parser looks at the letters behind it one by one.
    if ((c == '"' || c == '\'') && kBeforeStrings.find(before) != std::string_view::npos) {
      at = behind_string(text, at);
      before = c;
      continue;
    }
    if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (static_cast<unsigned char>(c) >= 0x80)
      return fault(at, "a letter beyond ASCII, which has to stand in quotes");
    if (c == '.') ++parts;
    if (std::string_view("=,[]{}\n").find(c) != std::string_view::npos) parts = 1;
    if (parts > kMostParts) return fault(at, "a key of too many parts");
    if (c != ' ' && c != '\t' && c != '\r') before = c;
    ++at;
  }
  return std::nullopt;
}

}  // namespace vit22b
