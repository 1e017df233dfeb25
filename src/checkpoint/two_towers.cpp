#include "checkpoint/two_towers.h"

#include "checkpoint/safetensors.h"
#include "core/checksum.h"
#include "core/error.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr size_t kTokenizerLimit = size_t{256} << 20;

bool is_weight_file(const std::string& name) {
  return name.starts_with("model") &&
         (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"));
}

FileRecord record_of(const fs::path& path) {
  const auto size = static_cast<size_t>(fs::file_size(path));
  if (path.extension() != ".safetensors")
    return {size, xxh3_128(MappedFile(path, ExitCode::kCheckpoint).bytes()), {}};
  const SafetensorsFile file(path);
  FileRecord record{size, xxh3_128(file.header()), {}};
  for (const auto& [name, entry] : file.entries())
    record.tensors[name] = xxh3_128(file.bytes(entry));
  return record;
}

}  // namespace

const ViTConfig& trained_config(const ModelInfo& info) {
  return info.text ? info.text->config : info.config;
}

const char* trained_stem(const ModelInfo& info) {
  return info.text ? "text" : "model";
}

namespace {

void link_image_tower(FileOps& ops, const fs::path& folder, const fs::path& image_folder,
                      Manifest& manifest) {
  const Manifest known = read_manifest(image_folder);
  std::error_code error;
  int64_t num_files = 0;
  for (const auto& entry : fs::directory_iterator(image_folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!is_weight_file(name)) continue;
    ops.link(fs::canonical(entry.path()), folder / name);
    const auto it = known.find(name);
    manifest[name] = it != known.end() ? it->second : record_of(entry.path());
    ++num_files;
  }
  if (num_files == 0)
    throw CheckpointError("the image tower's weights are gone from ", image_folder.string(),
                          "; the run needs them for its checkpoints");
}

}  // namespace

void write_frozen_parts(FileOps& ops, const fs::path& folder, const ModelInfo& info,
                        const FrozenParts& parts, Manifest& manifest) {
  if (!parts.image_folder.empty()) link_image_tower(ops, folder, parts.image_folder, manifest);
  write_recorded_text(ops, folder, info.text->tokenizer, parts.tokenizer_bytes, manifest);
}

std::string read_tokenizer(const fs::path& folder, const TextInfo& info) {
  std::string bytes = read_text(folder / info.tokenizer, ExitCode::kCheckpoint, kTokenizerLimit);
  if (hash_of_text(bytes) != info.tokenizer_hash)
    throw CheckpointError((folder / info.tokenizer).string(),
                          " is not the tokenizer that the text tower was trained with; put the "
                          "checkpoint's own back");
  return bytes;
}

}  // namespace vit22b
