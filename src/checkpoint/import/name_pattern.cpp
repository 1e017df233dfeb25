#include "checkpoint/import/name_pattern.h"

namespace vit22b {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

std::optional<PatternMatch> match_pattern(std::string_view pattern, std::string_view name) {
  PatternMatch found;
  size_t at = 0;
  for (const char c : pattern) {
    if (c != '#') {
      if (at >= name.size() || name[at] != c) return std::nullopt;
      ++at;
      continue;
    }
    const size_t first = at;
    while (at < name.size() && is_digit(name[at])) ++at;
    if (at == first) return std::nullopt;
    found.number = name.substr(first, at - first);
  }
  found.rest = name.substr(at);
  const bool is_open = pattern.ends_with('.') || pattern.ends_with('_');
  if (found.rest.empty() == is_open) return std::nullopt;
  return found;
}

std::string filled_pattern(std::string_view pattern, const PatternMatch& found) {
  std::string name;
  for (const char c : pattern) c == '#' ? name += found.number : name += c;
  return name + found.rest;
}

}  // namespace vit22b
