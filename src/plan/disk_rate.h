#pragma once
#include <string>

namespace vit22b {

/// Bytes a second that large reads of a folder's disk reach, past the system's cache, by a nameless
/// file of 256 MiB; 0 where the folder does not take such a file.
double disk_read_rate(const std::string& folder);

}  // namespace vit22b
