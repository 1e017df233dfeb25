#include "cli/class_texts.h"

#include <CLI/CLI.hpp>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "data/delimited.h"
#include "data/name_texts.h"

namespace vit22b {
namespace {

constexpr const char* kOpenAi = "openai";  // of --templates

std::vector<std::string> lines_of_file(const std::string& path) {
  std::vector<std::string> lines = lines_of(read_text_or_pipe(path, ExitCode::kData));
  if (lines.empty()) throw DataError(path, " has no line with text");
  return lines;
}

}  // namespace

void add_class_text_flags(CLI::App& command, ClassTextFlags& flags,
                          const std::string& classes_help) {
  command.add_option("--classes", flags.classes, classes_help);
  command.add_option("--templates", flags.templates,
                     "file of sentences with {} for the name, a line each, or \"openai\" for the "
                     "80 of CLIP's paper; "
                     "the checkpoint's where absent, or the name alone");
}

std::vector<std::string> read_class_texts(const std::string& file) {
  std::vector<std::string> names = lines_of_file(file);
  std::set<std::string> seen;
  for (const std::string& name : names)
    if (!seen.insert(name).second)
      throw DataError(file, ": '", name,
                      "' is there twice; candidates have to differ, give each class one name");
  return names;
}

std::vector<std::string> templates_of(const ClassTextFlags& flags, const TextTower& tower) {
  if (flags.templates.empty()) return tower.templates();
  if (flags.templates == kOpenAi) return lines_of(name_texts().at("openai_templates"));
  return lines_of_file(flags.templates);
}

}  // namespace vit22b
