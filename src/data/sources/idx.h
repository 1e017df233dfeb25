#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// True when a folder holds MNIST's files, plain or gzipped.
bool is_idx_folder(const std::filesystem::path& folder);

/// Reads SPLIT-images-idx3-ubyte[.gz] and SPLIT-labels-idx1-ubyte[.gz] whole into memory; split
/// "test" is also "t10k". The classes are those of all splits in the folder, and have numbers for
/// names, except Fashion-MNIST's, which its labels tell.
///
/// Format (LeCun): big-endian magic 0x00000803 or 0x00000801, sizes, then bytes. At most 4 GiB of
/// pixels. throws  DataError naming the file: missing, truncated, wrong magic, sizes that do not
/// match
std::unique_ptr<DataSource> open_idx(const std::filesystem::path& folder, const std::string& split,
                                     const SourceOptions& options = {});

/// The splits of a folder: what stands before "-images-idx3-ubyte"; "test" for "t10k".
std::vector<std::string> idx_splits(const std::filesystem::path& folder,
                                    const SourceOptions& options = {});

}  // namespace vit22b
