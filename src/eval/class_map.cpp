#include "eval/class_map.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "data/delimited.h"

namespace vit22b {
namespace {

constexpr size_t kTextLimit = size_t{64} << 20;

/// The file's lines without white space at their ends; empty ones at the end are left out.
std::vector<std::string> lines_of(const std::string& path) {
  const std::string text = read_text_or_pipe(path, ExitCode::kData, kTextLimit);
  std::vector<std::string> lines = split(without_byte_order_mark(text), '\n');
  for (std::string& line : lines) line = trim(line);
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  if (lines.empty()) throw DataError(path, " is empty; want a class's name a line");
  return lines;
}

struct NumberedName {
  std::string name;
  int64_t number = 0;
};

/// The name and the number of "cat 3", "cat<tab>3" or "cat,3".
std::optional<NumberedName> numbered_name(const std::string& line) {
  const size_t at = line.find_last_of(" \t,");
  if (at == std::string::npos) return std::nullopt;
  NumberedName found{trim(line.substr(0, at))};
  const char *begin = line.data() + at + 1, *end = line.data() + line.size();
  const auto [stop, error] = std::from_chars(begin, end, found.number);
  if (error != std::errc() || stop != end || found.number < 0 || found.name.empty())
    return std::nullopt;
  return found;
}

}  // namespace

std::map<std::string, int64_t> read_class_map(const std::string& path) {
  if (path.ends_with(".pkl"))
    throw DataError(path, " is a pickle, which is not read; write its names as text, a line each");
  const std::vector<std::string> lines = lines_of(path);
  const bool is_numbered = std::all_of(lines.begin(), lines.end(), [](const std::string& line) {
    return numbered_name(line).has_value();
  });
  std::map<std::string, int64_t> classes;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) throw DataError(path, ":", i + 1, ": no name");
    const NumberedName entry =
        is_numbered ? *numbered_name(lines[i]) : NumberedName{lines[i], static_cast<int64_t>(i)};
    const auto [it, is_new] = classes.emplace(entry.name, entry.number);
    if (!is_new && it->second != entry.number)
      throw DataError(path, ":", i + 1, ": '", entry.name, "' is of the classes ", it->second,
                      " and ", entry.number);
  }
  return classes;
}

}  // namespace vit22b
