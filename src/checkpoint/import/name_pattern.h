#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace vit22b {

/// What '#' (a number) and the open end of a pattern stand for in a name. A pattern that ends in
/// '.' or '_' stands for all names that go on from there.
struct PatternMatch {
  std::string number, rest;
};

/// Nothing where the name does not fit.
std::optional<PatternMatch> match_pattern(std::string_view pattern, std::string_view name);

/// A pattern with what another one stood for.
std::string filled_pattern(std::string_view pattern, const PatternMatch& found);

}  // namespace vit22b
