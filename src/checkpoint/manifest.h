#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "checkpoint/container/safetensors_writer.h"
#include "dist/mesh.h"

namespace vit22b {

/// What a checkpoint folder's manifest.json says of its files: every byte is covered by a size and
/// a hash.
using Manifest = std::map<std::string, FileRecord>;

/// Writes a file without tensors and records it.
void write_recorded_text(FileOps& ops, const std::filesystem::path& folder, const std::string& name,
                         const std::string& text, Manifest& manifest);

/// Writes FOLDER/manifest.json.
void write_manifest(FileOps& ops, const std::filesystem::path& folder, const Manifest& manifest);

/// Reads FOLDER/manifest.json; empty where there is none (another program's folder).
///
/// throws  CheckpointError when it is damaged
Manifest read_manifest(const std::filesystem::path& folder);

/// What of a folder's files to check: all, or what a model is made of, without the state of its
/// training, which may have been left behind; its tensors can be left to whoever reads them.
enum class ManifestScope { kAll, kModel, kModelButTensors };

/// Checks the files of a folder against its manifest; a folder without one (another program's)
/// passes.
///
/// throws  CheckpointError naming the file, and the tensor where one is damaged
void verify_manifest(const std::filesystem::path& folder,
                     ManifestScope scope = ManifestScope::kAll);
/// The same by all ranks, each its share of the tensors.
///
/// throws  as above, on every rank
void verify_manifest(const std::filesystem::path& folder, const Mesh& mesh);

/// Makes a folder with a manifest that appears whole or not at all: what fills it writes into one
/// with a temporary name beside it and records its files, which then takes the name. A link is
/// followed and stays.
///
/// throws  UsageError for a folder that is there already and not empty
void make_recorded_folder(
    FileOps& ops, const std::filesystem::path& folder,
    const std::function<void(const std::filesystem::path& beside, Manifest& manifest)>& fill);

}  // namespace vit22b
