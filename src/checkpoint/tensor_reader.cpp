#include "checkpoint/tensor_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/checksum.h"
#include "core/error.h"
#include "kernels/cpu/rows.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBufferBytes = 4 << 20;  // stays in the second cache while it is hashed and stored

std::string state_of(int descriptor) {
  struct stat status = {};
  fstat(descriptor, &status);
  return concat(status.st_size, " bytes of ", status.st_mtim.tv_sec, ".", status.st_mtim.tv_nsec);
}

// Reads exactly that many bytes, or says why not.
void read_at(int descriptor, size_t offset, std::span<std::byte> out, const std::string& what) {
  while (!out.empty()) {
    const ssize_t got = pread(descriptor, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw CheckpointError(what, " cannot be read (", std::strerror(errno), ")");
    if (got == 0) throw CheckpointError(what, " is cut short: the file ends at byte ", offset);
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<size_t>(got);
  }
}

// Some values of a tensor into the target's dtype.
void store_values(const std::byte* from, at::ScalarType dtype, at::Tensor& target, int64_t first,
                  int64_t count) {
  using cpu::Storage;
  auto* const to = static_cast<std::byte*>(target.mutable_data_ptr()) +
                   first * static_cast<int64_t>(target.element_size());
  auto* const source = const_cast<std::byte*>(from);  // NOLINT: Rows names outputs too
  if (dtype == at::kFloat && target.scalar_type() == at::kBFloat16) {
    cpu::store_rows({reinterpret_cast<float*>(source), count, 1, count},
                    {to, count, Storage::kBFloat16});
  } else if (dtype == at::kBFloat16 && target.scalar_type() == at::kFloat) {
    cpu::load_rows({source, count, Storage::kBFloat16},
                   {reinterpret_cast<float*>(to), count, 1, count});
  } else {
    at::Tensor part = target.view({-1}).narrow(0, first, count);
    part.copy_(at::from_blob(source, {count}, dtype));
  }
}

// The checkpoint, with every byte of its model checked that is not read tensor by tensor.
const CheckpointPath& checked(const CheckpointPath& checkpoint) {
  verify_manifest(checkpoint.folder, ManifestScope::kModelButTensors);
  return checkpoint;
}

}  // namespace

TensorReader::TensorReader(const CheckpointPath& checkpoint, const std::vector<ParameterRow>& table)
    : files_(checked(checkpoint)),
      manifest_(read_manifest(checkpoint.folder)),
      buffer_(kBufferBytes) {
  check_no_extra(files_, table);
  for (const ParameterRow& row : table) check_weight(files_, row);
  for (const std::string& name : files_.names()) {
    const fs::path& path = files_.file_of(name).path();
    OpenFile& file = open_[path.string()];
    if (file.descriptor >= 0) continue;
    file.descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file.descriptor < 0)
      throw CheckpointError(path.string(), " cannot be opened (", std::strerror(errno), ")");
    file.as_opened = state_of(file.descriptor);
    if (const auto it = manifest_.find(path.filename().string()); it != manifest_.end())
      file.record = &it->second;
  }
}

TensorReader::~TensorReader() {
  for (const auto& [path, file] : open_)
    if (file.descriptor >= 0) ::close(file.descriptor);
}

void TensorReader::read_tensor(const std::string& name, at::Tensor& target) {
  const SafetensorsFile& tensors = files_.file_of(name);
  const SafetensorsFile::Entry& entry = tensors.entry(name);
  const OpenFile& file = open_.at(tensors.path().string());
  const std::string what = concat(tensors.path().string(), ": tensor '", name, "'");
  const size_t size = entry.end - entry.begin, value = c10::elementSize(entry.dtype);
  const bool is_direct = entry.dtype == target.scalar_type();
  auto* const direct = static_cast<std::byte*>(target.mutable_data_ptr());
  Xxh3Stream hash;
  for (size_t done = 0; done < size; done += std::min(kBufferBytes, size - done)) {
    const size_t bytes = std::min(kBufferBytes, size - done);
    const std::span<std::byte> piece(is_direct ? direct + done : buffer_.data(), bytes);
    read_at(file.descriptor, tensors.file_offset(entry) + done, piece, what);
    if (file.record != nullptr) hash.add(piece);
    if (!is_direct)
      store_values(piece.data(), entry.dtype, target, static_cast<int64_t>(done / value),
                   static_cast<int64_t>(bytes / value));
  }
  if (state_of(file.descriptor) != file.as_opened)
    throw CheckpointError(what, " was read while the file changed; start again");
  if (file.record == nullptr) return;
  const auto it = file.record->tensors.find(name);
  if (it == file.record->tensors.end() || it->second != hash.hash())
    throw CheckpointError(what,
                          " is damaged: its hash differs from manifest.json; use an older "
                          "checkpoint");
}

void TensorReader::read(const ParameterRow& row, at::Tensor& target) {
  read_tensor(row.name, target);
  const std::string twin = twin_bias(row);
  if (twin.empty() || !files_.contains(twin)) return;
  at::Tensor other = at::empty_like(target);
  read_tensor(twin, other);
  target.add_(other);
}

}  // namespace vit22b
