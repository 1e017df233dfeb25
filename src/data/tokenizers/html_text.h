#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vit22b {

/// A named character of HTML, as in &NAME.
struct HtmlName {
  const char* name;      ///< with its semicolon, where it needs one
  const char* text;      ///< UTF-8
  const char* capitals;  ///< what the name means in capitals; "" for nothing
};

/// The W3C's list of 2,231, in the order of names' bytes.
///
/// source  script/html-entities
extern const HtmlName kHtmlNames[];
extern const size_t kNumHtmlNames;

/// What Windows has at a C1 control's place, which is what texts mean by one; other characters are
/// themselves.
int32_t windows_character(int32_t character);

/// Named and numbered characters of HTML as what they stand for, by HTML 5's rules for wrong ones
/// too: Python's html.unescape.
std::string html_unescaped(std::string_view text);

/// The same of those alone that end in a semicolon and mean one thing, and of names that were put
/// in capitals: ftfy's unescape_html.
std::string certain_html_unescaped(std::string_view text);

}  // namespace vit22b
