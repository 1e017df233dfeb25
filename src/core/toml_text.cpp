#include "core/toml_text.h"

#include <algorithm>

#include "core/text.h"

namespace vit22b {
namespace {

constexpr int kMostParts = 32;

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

/// What the letters so far say of the next one: whether a key or a value goes on there.
class Place {
 public:
  /// Elsewhere a quote begins no string: the parser looks at the letters behind it one by one.
  bool may_begin_string() const { return is_key_ ? is_behind("\n[{,.") : may_begin_value(); }
  void see(char c) {
    if (c == ' ' || c == '\t' || c == '\r' || (c == '\n' && !open_.empty())) return;
    const bool is_bracket = c == '{' || (c == '[' && !is_key_);
    if ((is_bracket && !may_begin_value()) || (c == '=' && !is_key_)) {
      last_ = kWord;  // the parser takes it for a letter of the value before
      return;
    }
    if (is_bracket) open_ += c;
    if ((c == '}' || c == ']') && !open_.empty()) open_.pop_back();
    if (c == '=') is_key_ = false;
    if (c == '{' || c == '\n' || (c == ',' && open_.ends_with('{'))) is_key_ = true;
    last_ = c;
  }

 private:
  static constexpr char kWord = 'x';

  bool is_behind(std::string_view letters) const {
    return letters.find(last_) != std::string_view::npos;
  }
  bool may_begin_value() const { return !is_key_ && is_behind("=,["); }

  char last_ = '\n';  // that is no space
  bool is_key_ = true;
  std::string open_;  // brackets of values
};

}  // namespace

std::optional<std::string> toml_fault(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  const auto fault = [&](size_t at, const char* what) {
    return concat(1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(at), '\n'),
                  ": ", what);
  };
  int parts = 1;
  Place place;
  bool is_lost = false;  // behind a misplaced quote nothing is known to be a string or a comment
  size_t at = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  while (at < text.size()) {
    const char c = text[at];
    const bool is_quote = c == '"' || c == '\'';
    is_lost = is_lost || (is_quote && !place.may_begin_string());
    if (is_quote && !is_lost) {
      at = behind_string(text, at);
      place.see(c);
      continue;
    }
    if (c == '#' && !is_lost) {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (static_cast<unsigned char>(c) >= 0x80)
      return fault(at, "a letter beyond ASCII, which has to stand in quotes");
    if (c == '.') ++parts;
    if (std::string_view("=,[]{}\n").find(c) != std::string_view::npos) parts = 1;
    if (parts > kMostParts) return fault(at, "a key of too many parts");
    place.see(c);
    ++at;
  }
  return std::nullopt;
}

}  // namespace vit22b
