#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "data/loader.h"

namespace vit22b {

/// Which images a command reads, and how.
struct ImageFlags {
  std::vector<std::string> images;
  std::string list;
  LoaderFlags loader{.max_bad_fraction = 1};  ///< what cannot be read is told and left out
};

/// Adds the positional images, --list, and the loader's flags.
void add_image_flags(CLI::App& command, ImageFlags& flags,
                     const char* images_help = "image files, folders of them or patterns");

/// The image files that words name: files as given, folders replaced by the pictures below them as
/// find_pictures has them, patterns ("photos/*.jpg", for shells that do not expand them) by what
/// they fit, sorted; then the lines of a list, with or without a byte order mark.
///
/// list    a file with a path a line, "-" for standard input, "" for none
/// throws  DataError when a path does not exist, or a folder or a pattern holds no image
std::unique_ptr<DataSource> open_image_files(const std::vector<std::string>& words,
                                             const std::string& list);

/// One pass over a source as the flags ask for it.
LoaderOptions one_pass(const LoaderFlags& flags, const DataSource& source);

}  // namespace vit22b
