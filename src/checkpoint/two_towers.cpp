#include "checkpoint/two_towers.h"

#include "checkpoint/adapters.h"
#include "checkpoint/container/containers.h"
#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/weights.h"
#include "core/checksum.h"
#include "core/error.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr size_t kTokenizerLimit = size_t{256} << 20;

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

const char* trained_file(const ModelInfo& info) {
  if (info.base) return kAdapterFile;
  return info.text ? "text.safetensors" : "model.safetensors";
}

namespace {

void link_image_tower(FileOps& ops, const fs::path& folder, const CheckpointPath& image,
                      Manifest& manifest) {
  const Manifest known = read_manifest(image.folder);
  const auto link = [&](const fs::path& path, const std::string& name) {
    ops.link(fs::canonical(path), folder / name);
    const auto it = known.find(path.filename().string());
    manifest[name] = it != known.end() ? it->second : record_of(path);
  };
  const TensorContainer files = open_weights(image);
  const bool is_sharded = files.place().string().ends_with(kIndexEnding);
  if (is_sharded) link(files.place(), concat("model", kIndexEnding));
  for (const fs::path& path : files.files())
    link(path, is_sharded ? path.filename().string() : "model.safetensors");
}

}  // namespace

void write_frozen_parts(FileOps& ops, const fs::path& folder, const ModelInfo& info,
                        const FrozenParts& parts, Manifest& manifest) {
  if (!parts.image.folder.empty()) link_image_tower(ops, folder, parts.image, manifest);
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
