#include "cli/checked_words.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <filesystem>

#include "core/error.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

/// What a checkpoint is read from, inside of its folder.
constexpr const char* kReadInFolders[] = {"model.safetensors",     "text.safetensors",
                                          "optimizer.safetensors", "config.json",
                                          "manifest.json",         "trainer.json"};

bool is_nan(std::string word) {
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return word == "nan" || word == "-nan" || word == "+nan";
}

bool is_same_file(const std::string& one, const fs::path& other) {
  std::error_code error;
  return !one.empty() && fs::is_regular_file(one, error) && fs::equivalent(one, other, error);
}

/// Whether a file is what a word names, or NAME=WORD, or a part of a checkpoint there.
bool is_read(const std::string& out, const std::string& word) {
  const size_t equals = word.find('=');
  if (is_same_file(out, word)) return true;
  if (equals != std::string::npos && is_same_file(out, word.substr(equals + 1))) return true;
  return std::any_of(std::begin(kReadInFolders), std::end(kReadInFolders),
                     [&](const char* name) { return is_same_file(out, fs::path(word) / name); });
}

}  // namespace

void check_words(const CLI::App& command) {
  const CLI::Option* out = command.get_option_no_throw("--out");
  const bool has_out = out != nullptr && out->count() > 0;
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() == 0 || option == out) continue;
    const bool is_float = option->get_type_name().find("FLOAT") != std::string::npos;
    for (const std::string& word : option->results()) {
      if (is_float && is_nan(word))
        throw UsageError(option->get_name(), " is '", word, "', want a number");
      if (has_out && is_read(out->results().back(), word))
        throw UsageError("--out ", out->results().back(), " is what the command reads (",
                         option->get_name(), "); give another name");
    }
  }
}

}  // namespace vit22b
