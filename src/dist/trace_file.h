#pragma once
#include <filesystem>

#include "dist/mesh.h"

namespace vit22b {

/// Ends the recording of spans and writes those of all ranks, a process of the trace each, into one
/// file (Chrome's and Perfetto's JSON).
void save_trace(const std::filesystem::path& path, const Mesh& mesh);

}  // namespace vit22b
