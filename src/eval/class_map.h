#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace vit22b {

/// Reads which of a model's classes a name stands for, from a text file as timm has them: a name a
/// line, whose class is the line's number from 0; or, where every line ends in one, a name and its
/// class's number. A byte order mark and Windows' line ends are left out.
///
/// throws  DataError naming file and line for an empty line, or a name of two classes
std::map<std::string, int64_t> read_class_map(const std::string& path);

}  // namespace vit22b
