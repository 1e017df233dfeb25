#include "data/class_names.h"

#include <utf8proc.h>

#include "core/error.h"
#include "core/printable.h"

namespace vit22b {
namespace {

constexpr size_t kMaxNameBytes = 255;  // of a file's name, which a class's becomes

/// The length of the UTF-8 character at a place; 0 for bytes that are none.
size_t character_size(const std::string& text, size_t at) {
  utf8proc_int32_t character = 0;
  const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                     static_cast<utf8proc_ssize_t>(text.size() - at), &character);
  return size > 0 ? static_cast<size_t>(size) : 0;
}

}  // namespace

std::vector<std::string> numbered_names(int64_t count) {
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

bool are_numbers(const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] != std::to_string(i)) return false;
  return true;
}

void check_class_name(const std::string& name, const std::string& place) {
  if (name.size() > kMaxNameBytes)
    throw DataError(place, ": the class name '", printable(name.substr(0, 40)), "...' has ",
                    name.size(), " bytes, want at most ", kMaxNameBytes);
  for (size_t at = 0; at < name.size(); at += character_size(name, at))
    if (character_size(name, at) == 0)
      throw DataError(place, ": the class name '", printable(name),
                      "' is not UTF-8, which checkpoints and JSON are; rename it");
}

}  // namespace vit22b
