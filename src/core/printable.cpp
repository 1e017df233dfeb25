#include "core/printable.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace vit22b {
namespace {

/// Bytes of the UTF-8 character that a text starts with; 0 for none.
size_t character_size(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const size_t size = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (lead > 0xF4 || size > text.size()) return 0;
  for (size_t i = 1; i < size; ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 0;
  return size;
}

bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  return first < 0x20 || first == 0x7F ||
         (first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0);
}

}  // namespace

std::string printable(std::string_view text, std::string_view kept) {
  std::string shown;
  while (!text.empty()) {
    const size_t size = character_size(text);
    const std::string_view character = text.substr(0, std::max<size_t>(1, size));
    const bool is_kept = kept.find(character) != std::string_view::npos;
    if (size > 0 && (is_kept || !is_control(character))) {
      shown += character;
    } else {
      for (const char byte : character) {
        char escaped[8];
        std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(byte));
        shown += escaped;
      }
    }
    text.remove_prefix(character.size());
  }
  return shown;
}

std::string shown_name(const std::string& name) {
  return ::isatty(STDOUT_FILENO) == 1 ? printable(name) : name;
}

}  // namespace vit22b
