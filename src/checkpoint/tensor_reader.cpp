#include "checkpoint/tensor_reader.h"

#include <algorithm>

#include "checkpoint/import/importer.h"
#include "checkpoint/manifest.h"
#include "checkpoint/weights.h"
#include "core/checksum.h"
#include "core/error.h"
#include "kernels/cpu/rows.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

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

// The weights, with every byte of the model checked that is not read tensor by tensor, and the
// hashes that the others have to have.
TensorContainer opened(const CheckpointPath& checkpoint, TensorHashes hashes) {
  if (hashes == TensorHashes::kChecked) return open_weights(checkpoint);
  verify_manifest(checkpoint.folder, ManifestScope::kModelButTensors);
  TensorContainer files = open_weights(checkpoint);
  expect_recorded_hashes(files);
  return files;
}

int64_t rows_of(const TensorPiece& piece) {
  if (piece.num_rows >= 0) return piece.num_rows;
  return piece.shape.empty() ? 1 : piece.shape.front();
}

/// The values of one row of a source tensor.
int64_t row_size(const TensorPiece& piece) {
  int64_t size = 1;
  for (size_t i = 1; i < piece.shape.size(); ++i) size *= piece.shape[i];
  return size;
}

}  // namespace

TensorReader::TensorReader(const CheckpointPath& checkpoint, const std::vector<ParameterRow>& table,
                           TensorHashes hashes)
    : files_(opened(checkpoint, hashes)),
      map_(tensor_map(checkpoint, table, files_)),
      hashes_(hashes) {
  check_map(table);
}

TensorReader::TensorReader(TensorContainer files, TensorMap map,
                           const std::vector<ParameterRow>& table, TensorHashes hashes)
    : files_(std::move(files)), map_(std::move(map)), hashes_(hashes) {
  check_map(table);
}

void TensorReader::check_map(const std::vector<ParameterRow>& table) {
  check_all_used(map_, files_);
  for (const ParameterRow& row : table) rows_.emplace(row.name, row);
}

std::set<std::string> TensorReader::left() const {
  std::set<std::string> left;
  for (const std::string& name : map_.left)
    if (files_.contains(name)) left.insert(name);
  for (const auto& [name, recipe] : map_.parameters)
    for (const auto* pieces : {&recipe.pieces, &recipe.added})
      for (const TensorPiece& piece : *pieces) left.erase(piece.source);
  return left;
}

void TensorReader::check_all() const {
  for (const auto& [name, row] : rows_) check_sources(recipe(row), files_);
}

const TensorRecipe& TensorReader::recipe(const ParameterRow& row) const {
  const auto known = rows_.find(row.name);
  const auto it = map_.parameters.find(row.name);
  if (known == rows_.end() || it == map_.parameters.end())
    throw CheckpointError(files_.place().string(), ": tensor '", row.name, "' is missing",
                          did_you_mean(row.name, files_.names()));
  if (known->second.shape != row.shape)
    throw CheckpointError(files_.place().string(), ": '", row.name, "' has shape ",
                          shape_text(known->second.shape), ", the model has ",
                          shape_text(row.shape));
  return it->second;
}

void TensorReader::read(const ParameterRow& row, at::Tensor& target) const {
  const TensorRecipe& from = recipe(row);
  check_sources(from, files_);
  if (!from.added.empty() && target.scalar_type() != at::kFloat) {
    target.copy_(whole(row));  // a sum is rounded once
    return;
  }
  int64_t filled = 0;
  for (const TensorPiece& piece : from.pieces) filled = read_piece(piece, target, filled);
  VIT22B_CHECK(filled == row.count(), "the map fills ", filled, " of ", row.count(), " values of ",
               row.name);
  for (const TensorPiece& piece : from.added) {
    at::Tensor other = at::empty_like(target);
    read_piece(piece, other, 0);
    target.add_(other);
  }
}

void TensorReader::release(const ParameterRow& row) const {
  for (const TensorPiece& piece : recipe(row).pieces)
    if (!piece.source.empty()) files_.release(piece.source);
}

at::Tensor TensorReader::whole(const ParameterRow& row) const {
  at::Tensor tensor = at::empty(row.shape);
  read(row, tensor);
  return tensor;
}

/// Fills a target's values from `first` on; returns the first one behind.
int64_t TensorReader::read_piece(const TensorPiece& piece, at::Tensor& target,
                                 int64_t first) const {
  if (!piece.change && !piece.source.empty()) {
    read_rows(piece, target, first);
    return first + rows_of(piece) * row_size(piece);
  }
  at::Tensor values;
  if (piece.source.empty()) {
    values = piece.make();
  } else {
    std::vector<int64_t> shape = piece.shape;
    if (!shape.empty()) shape.front() = rows_of(piece);
    at::Tensor rows = at::empty(shape);
    read_rows(piece, rows, 0);
    values = piece.change(rows);
  }
  target.view({-1}).narrow(0, first, values.numel()).copy_(values.reshape({-1}));
  return first + values.numel();
}

void TensorReader::read_rows(const TensorPiece& piece, at::Tensor& target, int64_t first) const {
  const StoredTensor& stored = files_.tensor(piece.source);
  const size_t value = c10::elementSize(stored.dtype);
  const size_t begin = static_cast<size_t>(piece.first_row * row_size(piece)) * value,
               size = static_cast<size_t>(rows_of(piece) * row_size(piece)) * value;
  VIT22B_CHECK(begin + size <= stored.size_bytes(), "rows behind '", piece.source, "'");
  const bool is_direct = stored.dtype == target.scalar_type();
  auto* const direct = static_cast<std::byte*>(target.mutable_data_ptr()) +
                       first * static_cast<int64_t>(target.element_size());
  const bool checks = hashes_ == TensorHashes::kCheck && !stored.hash.empty();
  const bool is_whole = size == stored.size_bytes();
  Xxh3Stream hash;
  for (size_t done = 0; done < size; done += std::min(kBufferBytes, size - done)) {
    const size_t bytes = std::min(kBufferBytes, size - done);
    const std::span<std::byte> part(is_direct ? direct + done : buffer_.data(), bytes);
    files_.read(piece.source, begin + done, part);
    if (checks && is_whole) hash.add(part);
    if (!is_direct)
      store_values(part.data(), stored.dtype, target, first + static_cast<int64_t>(done / value),
                   static_cast<int64_t>(bytes / value));
  }
  files_.check_unchanged(piece.source);
  if (checks) check_hash(piece.source, is_whole ? hash.hash() : hash_of(piece.source));
}

std::string TensorReader::hash_of(const std::string& name) const {
  Xxh3Stream hash;
  const size_t size = files_.tensor(name).size_bytes();
  for (size_t done = 0; done < size; done += std::min(kBufferBytes, size - done)) {
    const std::span<std::byte> part(buffer_.data(), std::min(kBufferBytes, size - done));
    files_.read(name, done, part);
    hash.add(part);
  }
  return hash.hash();
}

void TensorReader::check_hash(const std::string& name, const std::string& hash) const {
  if (hash != files_.tensor(name).hash)
    throw CheckpointError(files_.file_of(name), ": tensor '", name,
                          "' is damaged: its hash differs from manifest.json; use an older "
                          "checkpoint");
}

}  // namespace vit22b
