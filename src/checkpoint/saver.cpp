#include "checkpoint/saver.h"

#include <unistd.h>

#include <algorithm>
#include <optional>

#include "core/checksum.h"
#include "core/error.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

// A descriptor that is closed whatever happens.
class OpenFile {
 public:
  OpenFile(FileOps& ops, fs::path path, int descriptor)
      : ops_(ops), path_(std::move(path)), descriptor_(descriptor) {}
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  int descriptor() const { return descriptor_; }
  void finish() {
    ops_.sync(descriptor_, path_);
    ops_.close(std::exchange(descriptor_, -1), path_);
  }

 private:
  FileOps& ops_;
  fs::path path_;
  int descriptor_;
};

// Removes what a failure has left of a file.
class Leftover {
 public:
  explicit Leftover(fs::path path) : path_(std::move(path)) {}
  ~Leftover() {
    std::error_code error;
    if (!is_whole) fs::remove(path_, error);
  }
  Leftover(const Leftover&) = delete;
  Leftover& operator=(const Leftover&) = delete;
  bool is_whole = false;

 private:
  fs::path path_;
};

// Which rank writes a tensor: the one that has the fewest bytes so far.
class Writers {
 public:
  explicit Writers(int64_t num_ranks) : bytes_(static_cast<size_t>(num_ranks), 0) {}
  int64_t next(size_t bytes) {
    const auto least = std::min_element(bytes_.begin(), bytes_.end());
    *least += bytes;
    return least - bytes_.begin();
  }

 private:
  std::vector<size_t> bytes_;
};

}  // namespace

FileRecord write_parts(FileOps& ops, const fs::path& target, const PartList& parts,
                       const std::map<std::string, std::string>& metadata, const Mesh& mesh,
                       const PartWritten& written) {
  agree_on_cuts(parts, mesh);
  std::vector<TensorEntry> entries;
  entries.reserve(parts.size());
  for (const auto& [name, tensor] : parts)
    entries.push_back({name, tensor.part.scalar_type(), tensor.cut.shape});
  std::vector<size_t> begins;
  const std::string prefix = safetensors_header(entries, metadata, begins);
  FileRecord record{prefix.size() + begins.back(), hash_of_text(prefix), {}};
  // Beside, until every rank has written.
  const fs::path path = mesh.once([&] { return temporary_beside(target).string(); });
  Leftover leftover(path);
  mesh.do_once([&] {
    OpenFile file(ops, path, ops.create(path));
    ops.write(file.descriptor(), std::as_bytes(std::span(prefix)), path);
    file.finish();
  });

  std::string hashes;  // of the tensors that this rank writes, a line each
  mesh.agree([&] {
    // After a failure a rank goes on to send and receive, so that none waits for it in vain.
    std::optional<UserError> failure;
    std::optional<OpenFile> file;
    const auto attempt = [&](const auto& act) {
      if (failure) return;
      try {
        act();
      } catch (const LostRank&) {
        throw;
      } catch (const UserError& error) {
        failure = error;
      }
    };
    attempt([&] { file.emplace(ops, path, ops.open_to_change(path)); });
    Writers writers(mesh.size(MeshAxis::kAll));
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::string& name = parts[i].first;
      const TensorPart& tensor = parts[i].second;
      const at::Tensor whole =
          gather_whole(tensor, writers.next(begins[i + 1] - begins[i]), mesh, name);
      if (whole.defined())
        attempt([&] {
          hashes += xxh3_128(bytes_of(whole)) + " " + name + "\n";
          ops.write_at(file->descriptor(), prefix.size() + begins[i], bytes_of(whole), path);
        });
      if (written) written(tensor.part);
    }
    attempt([&] { file->finish(); });
    if (failure) throw *failure;
  });
  mesh.do_once([&] { ops.rename(path, target); });
  leftover.is_whole = true;
  for (const std::string& of_rank : mesh.gather_text(hashes, MeshAxis::kAll))
    for (const std::string& line : split(of_rank, '\n'))
      if (const size_t space = line.find(' '); space != std::string::npos)
        record.tensors[line.substr(space + 1)] = line.substr(0, space);
  return record;
}

}  // namespace vit22b
