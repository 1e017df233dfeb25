#pragma once
#include <optional>
#include <string>
#include <vector>

namespace vit22b::test {

/// The words of a line as a shell takes them; none where it would do more than that.
inline std::optional<std::vector<std::string>> shell_words(const std::string& line) {
  constexpr const char* kMoreThanWords = "|&;<>()$`*?[]{}~#!\n";
  std::vector<std::string> words;
  bool is_word = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == ' ') {
      is_word = false;
      continue;
    }
    if (!is_word) words.emplace_back();
    is_word = true;
    if (c == '\'' || c == '"') {
      const size_t end = line.find(c, i + 1);
      if (end == std::string::npos) return std::nullopt;
      const std::string inside = line.substr(i + 1, end - i - 1);
      if (c == '"' && inside.find_first_of("$`\\") != std::string::npos) return std::nullopt;
      words.back() += inside;
      i = end;
    } else if (c == '\\' || std::string(kMoreThanWords).find(c) != std::string::npos) {
      return std::nullopt;
    } else {
      words.back() += c;
    }
  }
  return words;
}

}  // namespace vit22b::test
