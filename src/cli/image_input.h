#pragma once
#include <string>
#include <vector>

namespace vit22b {

/// The image files that words name: files as given, folders and patterns ("photos/*.jpg", for
/// shells that do not expand them) replaced by what is in them, sorted; then the lines of a list.
///
/// list    a file with a path a line, "-" for standard input, "" for none
/// throws  DataError when a path does not exist, or a folder or a pattern holds no image
std::vector<std::string> image_files(const std::vector<std::string>& words,
                                     const std::string& list = "");

}  // namespace vit22b
