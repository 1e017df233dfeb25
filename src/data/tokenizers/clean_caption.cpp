#include <utf8proc.h>

#include <map>

#include "data/tokenizers/html_text.h"
#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

/// Whether ftfy drops a character (chardata.py CONTROL_CHARS).
bool is_dropped(int32_t c) {
  return (c < 0x20 && c != '\t' && c != '\n' && c != '\f' && c != '\r') || c == 0x7F ||
         (c >= 0x206A && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

/// The size of a terminal's escape sequence that a text starts with, such as ESC[36;44m; or 0.
size_t escape_sequence(std::span<const int32_t> c) {
  constexpr int32_t kEscape = 0x1B;
  if (c.size() < 3 || c[0] != kEscape || c[1] != '[') return 0;
  size_t at = 2;
  while (at < c.size() && ((c[at] >= '0' && c[at] <= '9') || c[at] == ';')) ++at;
  const int32_t last = at < c.size() ? c[at] | 0x20 : 0;
  return last >= 'a' && last <= 'z' ? at + 1 : 0;
}

/// A character as ftfy writes it: Windows' for C1 controls; ligatures, widths and quotes plain.
std::string plain_character(int32_t c) {
  static const std::map<int32_t, std::string> kPlain = {
      {0x2018, "'"},       {0x2019, "'"},       {0x201A, "'"},  {0x201B, "'"},
      {0x02BC, "'"},       {0x201C, "\""},      {0x201D, "\""}, {0x201E, "\""},
      {0x201F, "\""},      {0x0132, "IJ"},      {0x0133, "ij"}, {0x0149, "'n"},
      {0x01F1, "DZ"},      {0x01F2, "Dz"},      {0x01F3, "dz"}, {0x01C4, "D\u017D"},
      {0x01C5, "D\u017E"}, {0x01C6, "d\u017E"}, {0x01C7, "LJ"}, {0x01C8, "Lj"},
      {0x01C9, "lj"},      {0x01CA, "NJ"},      {0x01CB, "Nj"}, {0x01CC, "nj"},
      {0xFB00, "ff"},      {0xFB01, "fi"},      {0xFB02, "fl"}, {0xFB03, "ffi"},
      {0xFB04, "ffl"},     {0xFB05, "\u017Ft"}, {0xFB06, "st"}, {0x3000, " "}};
  constexpr int32_t kFirstWide = 0xFF01, kLastWide = 0xFFEF;
  c = windows_character(c);
  if (const auto plain = kPlain.find(c); plain != kPlain.end()) return plain->second;
  const std::string text = text_of({&c, 1});
  return c >= kFirstWide && c <= kLastWide ? normal_form(text, NormalForm::kCompatible) : text;
}

std::string plain_characters(std::string_view text) {
  // Sorting marks is quadratic in their number: longer runs are normalised in parts (UAX 15 D4).
  constexpr size_t kMostMarks = 30;
  const std::vector<int32_t> c = characters_of(text);
  std::string out, part;
  size_t marks = 0;
  for (size_t at = 0; at < c.size(); ++at) {
    if (const size_t size = escape_sequence(std::span(c).subspan(at)); size > 0) {
      at += size - 1;
    } else if (!is_dropped(c[at])) {
      part += plain_character(c[at]);
      marks = utf8proc_get_property(c[at])->combining_class != 0 ? marks + 1 : 0;
    }
    if (marks <= kMostMarks) continue;
    out += normal_form(part, NormalForm::kComposed);
    part.clear();
    marks = 0;
  }
  return out + normal_form(part, NormalForm::kComposed);
}

/// ftfy's fix_and_explain: until nothing changes, as what is undone may be escaped itself; but not
/// for as many times as a text has letters.
std::string fixed(std::string text, bool is_html) {
  constexpr int kMostEscapes = 32;
  std::string before;
  for (int i = 0; i < kMostEscapes && text != before; ++i) {
    before = text;
    text = plain_characters(is_html ? certain_html_unescaped(text) : text);
  }
  return text;
}

}  // namespace

std::string clean_caption(std::string_view text) {
  std::string out;
  bool is_html = true;  // until a line has a tag: then what is escaped is meant to be
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::string_view whole = text.substr(0, line.size() + 1);
    is_html = is_html && line.find('<') == std::string_view::npos;
    out += fixed(std::string(whole), is_html);
    text.remove_prefix(whole.size());
  }
  return html_unescaped(html_unescaped(out));
}

}  // namespace vit22b
