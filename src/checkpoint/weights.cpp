#include "checkpoint/weights.h"

#include "checkpoint/adapters.h"
#include "checkpoint/container/containers.h"
#include "checkpoint/inner_tower.h"
#include "checkpoint/manifest.h"
#include "checkpoint/tensor_reader.h"
#include "core/checksum.h"
#include "core/error.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

// Names that other libraries give the weights of a folder, in the order in which they are looked
// for.
constexpr const char* kNames[] = {"open_clip_model.safetensors", "pytorch_model.bin",
                                  "pytorch_model.bin.index.json", "open_clip_pytorch_model.bin"};

// The file or index that holds a checkpoint's weights.
fs::path weights_place(const CheckpointPath& checkpoint) {
  if (!checkpoint.weights.empty()) return checkpoint.folder / checkpoint.weights;
  const fs::path file = checkpoint.folder / "model.safetensors",
                 index = checkpoint.folder / concat("model", kIndexEnding);
  const bool has_file = fs::exists(file), has_index = fs::exists(index);
  if (has_file && has_index)
    throw CheckpointError(checkpoint.folder.string(), " holds both ", file.filename().string(),
                          " and ", index.filename().string(),
                          "; name the one that is meant, such as ", file.string());
  if (has_file || has_index) return has_file ? file : index;
  for (const char* name : kNames)
    if (fs::exists(checkpoint.folder / name)) return checkpoint.folder / name;
  throw CheckpointError(checkpoint.folder.string(),
                        " holds neither model.safetensors nor its index");
}

bool is_beside_base(const CheckpointPath& checkpoint) {
  if (!checkpoint.weights.empty()) return checkpoint.weights == kAdapterFile;
  return fs::exists(checkpoint.folder / kAdapterFile) &&
         !fs::exists(checkpoint.folder / "model.safetensors");
}

}  // namespace

at::ScalarType held_type(const ParameterRow& row, at::ScalarType matrix_type) {
  const bool is_product = row.unit.kind == UnitKind::kBlock || row.unit.kind == UnitKind::kPool;
  return is_product && row.group == ParameterGroup::kKernel ? matrix_type : at::kFloat;
}

TensorContainer open_all_weights(const CheckpointPath& checkpoint) {
  return open_container(weights_place(checkpoint));
}

TensorContainer open_weights(const CheckpointPath& checkpoint) {
  if (is_beside_base(checkpoint))
    if (const auto base = find_base(checkpoint)) return open_beside_base(checkpoint, *base);
  TensorContainer all = open_all_weights(checkpoint);
  const bool has_config = fs::exists(checkpoint.folder / "config.json");
  const auto tower = has_config ? inner_tower(checkpoint) : inner_tower(all.names());
  return tower ? tensors_of(*tower, std::move(all)) : std::move(all);
}

std::string weights_identity(const CheckpointPath& checkpoint) {
  constexpr size_t kBytesLookedAt = 4096;
  const TensorContainer files = open_weights(checkpoint);
  Xxh3Stream hash;
  std::vector<std::byte> first;
  for (const auto& [name, tensor] : files.tensors()) {
    const std::string line =
        concat(name, " ", c10::toString(tensor.dtype), " ", shape_text(tensor.shape), "\n");
    hash.add(std::as_bytes(std::span(line)));
    first.resize(std::min(tensor.size_bytes(), kBytesLookedAt));
    files.read(name, 0, first);
    hash.add(first);
  }
  return hash.hash();
}

void expect_recorded_hashes(TensorContainer& files) {
  std::map<std::filesystem::path, Manifest> manifests;
  for (const std::string& name : files.names()) {
    if (name.starts_with(kBasePrefix)) continue;  // said when the base was opened
    const std::filesystem::path file = files.file_of(name), folder = file.parent_path();
    if (manifests.count(folder) == 0) manifests[folder] = read_manifest(folder);
    const Manifest& manifest = manifests.at(folder);
    const auto record = manifest.find(file.filename().string());
    if (record == manifest.end()) continue;
    const auto hash = record->second.tensors.find(name);
    // A tensor that the record has not is none that was written.
    files.expect_hash(name, hash == record->second.tensors.end() ? "none" : hash->second);
  }
}

NamedTensors load_weights(const CheckpointPath& checkpoint,
                          const std::vector<ParameterRow>& table) {
  const TensorReader reader(checkpoint, table);
  NamedTensors weights;
  for (const ParameterRow& row : table) weights[row.name] = reader.whole(row);
  return weights;
}

}  // namespace vit22b
