#include "checkpoint/manifest.h"

#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_file.h"
#include "core/checksum.h"
#include "core/json.h"
#include "core/signals.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kManifestName = "manifest.json";
constexpr size_t kManifestLimit = 256 << 20;

void verify_text(const fs::path& path, const FileRecord& record) {
  const MappedFile file(path, ExitCode::kCheckpoint);
  if (xxh3_128(file.bytes()) != record.hash)
    throw CheckpointError(
        path.string(), " is damaged: its hash differs from manifest.json; use an older checkpoint");
}

// Which hashes one of several ranks computes: its turn comes round.
class Turns {
 public:
  explicit Turns(const Mesh& mesh)
      : next_(mesh.along(MeshAxis::kAll).rank()), count_(mesh.size(MeshAxis::kAll)) {}
  bool is_own() {
    const bool is_own = next_ == 0;
    next_ = is_own ? count_ - 1 : next_ - 1;
    return is_own;
  }

 private:
  int64_t next_, count_;
};

void verify_tensors(const fs::path& path, const FileRecord& record, ManifestScope scope,
                    Turns& turns) {
  const SafetensorsFile file(path);
  if (xxh3_128(file.header()) != record.hash)
    throw CheckpointError(
        path.string(),
        ": the header is damaged: its hash differs from manifest.json; use an older checkpoint");
  if (scope == ManifestScope::kModelButTensors) return;
  for (const auto& [name, hash] : record.tensors)
    if (turns.is_own() && xxh3_128(file.bytes(file.entry(name))) != hash)
      throw CheckpointError(
          path.string(), ": tensor '", name,
          "' is damaged: its hash differs from manifest.json; use an older checkpoint");
}

}  // namespace

void write_recorded_text(FileOps& ops, const fs::path& folder, const std::string& name,
                         const std::string& text, Manifest& manifest) {
  write_text(ops, folder / name, text);
  manifest[name] = {text.size(), hash_of_text(text), {}};
}

void write_manifest(FileOps& ops, const fs::path& folder, const Manifest& manifest) {
  Json files = Json::object();
  for (const auto& [name, record] : manifest) {
    Json file = {{"size", record.size}, {"xxh3_128", record.hash}};
    if (!record.tensors.empty()) file["tensors"] = record.tensors;
    files[name] = file;
  }
  write_text(ops, folder / kManifestName, Json{{"format", 1}, {"files", files}}.dump(1) + "\n");
}

Manifest read_manifest(const fs::path& folder) {
  const fs::path path = folder / kManifestName;
  Manifest manifest;
  if (!fs::exists(path)) return manifest;
  try {
    const auto json = parse_json<Json>(read_text(path, ExitCode::kCheckpoint, kManifestLimit),
                                       path.string(), ExitCode::kCheckpoint);
    for (const auto& [name, file] : json.at("files").items()) {
      FileRecord& record = manifest[name];
      record.size = whole_number<size_t>(file.at("size"));
      record.hash = file.at("xxh3_128").get<std::string>();
      if (file.contains("tensors"))
        record.tensors = file.at("tensors").get<std::map<std::string, std::string>>();
      if (name.find('/') != std::string::npos || name.starts_with("."))
        throw CheckpointError(path.string(), ": '", name, "' is no plain file name");
    }
  } catch (const Json::exception& e) {
    throw CheckpointError(path.string(), " is damaged (", e.what(), "); use an older checkpoint");
  }
  return manifest;
}

namespace {

/// Whether a file is for going on with a training alone.
bool is_of_training(const std::string& name) {
  return name == "optimizer.safetensors" || name == "trainer.json";
}

void verify(const fs::path& folder, ManifestScope scope, Turns turns) {
  for (const auto& [name, record] : read_manifest(folder)) {
    if (scope != ManifestScope::kAll && is_of_training(name)) continue;
    const fs::path file = folder / name;
    std::error_code error;
    const auto size = fs::file_size(file, error);
    if (error)
      throw CheckpointError(file.string(),
                            " is missing, though manifest.json lists it; use an older checkpoint");
    if (size != record.size)
      throw CheckpointError(file.string(), " has ", size, " bytes, manifest.json says ",
                            record.size, "; it is cut short or changed: use an older checkpoint");
    if (!record.tensors.empty())
      verify_tensors(file, record, scope, turns);
    else if (turns.is_own())
      verify_text(file, record);
  }
}

}  // namespace

void verify_manifest(const fs::path& folder, ManifestScope scope) {
  verify(folder, scope, Turns(single_process()));
}

void verify_manifest(const fs::path& folder, const Mesh& mesh) {
  mesh.agree([&] { verify(folder, ManifestScope::kAll, Turns(mesh)); });
}

void make_recorded_folder(
    FileOps& ops, const fs::path& folder,
    const std::function<void(const fs::path& beside, Manifest& manifest)>& fill) {
  if (fs::exists(folder) && !(fs::is_directory(folder) && fs::is_empty(folder)))
    throw UsageError(folder.string(), " is there already and not empty; choose another folder");
  const SavesFirst until_written;
  const fs::path place =
      followed(folder.has_filename() ? folder : folder.parent_path());  // DIR/ too
  if (place.has_parent_path()) ops.make_folder(place.parent_path());
  const fs::path beside = temporary_beside(place);
  ops.make_new_folder(beside);
  try {
    Manifest manifest;
    fill(beside, manifest);
    write_manifest(ops, beside, manifest);
    ops.sync_folder(beside);
    ops.rename(beside, place);  // fails where another process has made the folder by now
  } catch (...) {
    std::error_code error;
    fs::remove_all(beside, error);
    throw;
  }
}

}  // namespace vit22b
