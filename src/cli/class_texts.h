#pragma once
#include <string>
#include <vector>

#include "eval/text_tower.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class App;
}

namespace vit22b {

/// Classes that a two-tower model is told by name.
struct ClassTextFlags {
  std::string classes;    ///< a file
  std::string templates;  ///< a file, "openai", or "" for the checkpoint's
};

/// Adds --classes and --templates.
void add_class_text_flags(CLI::App& command, ClassTextFlags& flags,
                          const std::string& classes_help);

/// The names of --classes, one a line.
///
/// throws  DataError for none, or one that is there twice
std::vector<std::string> read_class_texts(const std::string& file);

/// The sentences with {} for a name: the checkpoint's, OpenAI's, or a file's.
std::vector<std::string> templates_of(const ClassTextFlags& flags, const TextTower& tower);

}  // namespace vit22b
