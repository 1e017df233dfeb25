#include "checkpoint/container/tensor_container.h"

#include <algorithm>

#include "core/error.h"

namespace vit22b {

size_t StoredTensor::size_bytes() const {
  return static_cast<size_t>(c10::multiply_integers(shape)) * c10::elementSize(dtype);
}

size_t TensorContainer::add_store(std::unique_ptr<ByteStore> store) {
  stores_.push_back(std::move(store));
  return stores_.size() - 1;
}

void TensorContainer::add(const std::string& name, StoredTensor tensor) {
  const size_t size = tensor.size_bytes(), available = stores_.at(tensor.store)->size();
  if (tensor.offset > available || size > available - tensor.offset)
    throw CheckpointError(stores_[tensor.store]->place(), ": tensor '", name, "' lies at bytes ",
                          tensor.offset, " to ", tensor.offset + size, " of ", available,
                          "; the file is cut short");
  if (!tensors_.emplace(name, std::move(tensor)).second)
    throw CheckpointError(place_.string(), ": there are two tensors '", name, "'");
}

void TensorContainer::take(TensorContainer other, const std::vector<std::string>& names,
                           const std::string& prefix) {
  const size_t first = stores_.size();
  for (auto& store : other.stores_) stores_.push_back(std::move(store));
  for (const std::string& name : names) {
    StoredTensor tensor = other.tensor(name);
    tensor.store += first;
    add(prefix + name, std::move(tensor));
  }
}

void TensorContainer::rename(const std::function<std::string(const std::string& name)>& to) {
  std::map<std::string, StoredTensor> old;
  old.swap(tensors_);
  for (auto& [name, tensor] : old)
    if (const std::string now = to(name); !now.empty()) add(now, std::move(tensor));
}

void TensorContainer::release(const std::string& name) const {
  const StoredTensor& stored = tensor(name);
  stores_[stored.store]->release(stored.offset, stored.size_bytes());
}

void TensorContainer::expect_hash(const std::string& name, const std::string& hash) {
  tensors_.at(name).hash = hash;
}

const StoredTensor& TensorContainer::tensor(const std::string& name) const {
  const auto it = tensors_.find(name);
  if (it != tensors_.end()) return it->second;
  throw CheckpointError(place_.string(), ": there is no tensor '", name, "'",
                        did_you_mean(name, names()));
}

std::vector<std::string> TensorContainer::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  return names;
}

std::vector<std::filesystem::path> TensorContainer::files() const {
  std::vector<std::filesystem::path> files;
  files.reserve(stores_.size());
  for (const auto& store : stores_) files.emplace_back(store->place());
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

const std::string& TensorContainer::file_of(const std::string& name) const {
  return stores_[tensor(name).store]->place();
}

void TensorContainer::read(const std::string& name, size_t offset, std::span<std::byte> out) const {
  const StoredTensor& found = tensor(name);
  VIT22B_CHECK(offset + out.size() <= found.size_bytes(), "TensorContainer: a read behind '", name,
               "'");
  const ByteStore& store = *stores_[found.store];
  const size_t from = found.offset + offset, got = store.read(from, out);
  if (got < out.size())
    throw CheckpointError(store.place(), ": tensor '", name,
                          "' is cut short: the file ends at byte ", from + got);
}

at::Tensor TensorContainer::load(const std::string& name) const {
  const StoredTensor& found = tensor(name);
  at::Tensor whole = at::empty(found.shape, found.dtype);
  read(name, 0, {static_cast<std::byte*>(whole.data_ptr()), whole.nbytes()});
  return whole;
}

void TensorContainer::check_unchanged(const std::string& name) const {
  const ByteStore& store = *stores_[tensor(name).store];
  if (!store.is_unchanged())
    throw CheckpointError(store.place(), ": tensor '", name,
                          "' was read while the file changed; start again");
}

}  // namespace vit22b
