#pragma once
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vit22b {

/// Joins values into one string as an output stream prints them.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Splits at every separator; empty parts are kept, an empty text gives no part.
std::vector<std::string> split(std::string_view text, char separator);

/// Joins with a separator.
std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// Removes white space at both ends.
std::string trim(std::string_view text);

/// The candidate with the smallest edit distance to `name`, or "" when none is near (more than a
/// third of its letters).
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

/// " (did you mean 'x'?)" for the nearest candidate, or "".
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

/// True when `name` matches a pattern in which '*' stands for any run of characters.
bool matches_pattern(std::string_view name, std::string_view pattern);

/// The number that a text starts with, and the text after it; nothing where there is none.
std::optional<std::pair<double, std::string>> leading_number(const std::string& text);

/// A number as printf writes it: formatted("%.4g s", 0.25) is "0.25 s"; at most 63 letters.
std::string formatted(const char* format, double value);

/// A byte count for people: "4.1 GiB".
std::string human_bytes(double bytes);

/// Seconds as h:mm:ss.
std::string human_duration(double seconds);

/// A tensor's sides: "[3, 224, 224]".
std::string sides_text(const std::vector<int64_t>& sides);

}  // namespace vit22b
