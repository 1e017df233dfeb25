#pragma once
#include <filesystem>
#include <string>

namespace vit22b {

/// What a file is by its first bytes: a kind that some reader here takes, what none does, or
/// nothing that is known (also what is too short to tell).
enum class FileContent { kSafetensors, kZip, kTorchStream, kText, kForeign, kUnknown };

struct KnownContent {
  FileContent content = FileContent::kUnknown;
  std::string name = {};  ///< in words; "" where it is not known
};

/// throws  CheckpointError for what stands where a file of weights was wanted: a pointer of
/// git-lfs,
///         a web page, a server's XML
KnownContent file_content(const std::filesystem::path& file);

}  // namespace vit22b
