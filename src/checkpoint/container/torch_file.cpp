#include "checkpoint/container/torch_file.h"

#include "checkpoint/container/containers.h"
#include "checkpoint/container/file_content.h"
#include "checkpoint/container/inflated_bytes.h"
#include "checkpoint/container/state_dict.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/stored_bytes.h"

namespace vit22b {
namespace {

using Members = std::map<std::string, ZipMember>;

constexpr std::string_view kPickle = "/data.pkl", kConstants = "/constants.pkl",
                           kByteOrder = "/byteorder", kStorages = "/data/";
constexpr int64_t kStreamVersion = 1001;

/// The folder that everything in the archive is in.
std::string root_of(const Members& members, const std::string& place) {
  std::string root;
  for (const auto& [name, member] : members) {
    if (!name.ends_with(kPickle) || name.find('/') != name.size() - kPickle.size()) continue;
    if (!root.empty()) throw CheckpointError(place, " holds both ", root, kPickle, " and ", name);
    root = name.substr(0, name.size() - kPickle.size());
  }
  if (root.empty())
    throw CheckpointError(place,
                          " holds no data.pkl, want an archive of torch.save or "
                          "torch.jit.save; what numpy.savez writes is named .npz");
  return root;
}

void check_byte_order(const ByteStore& file, const Members& members, const std::string& root) {
  const auto member = members.find(concat(root, kByteOrder));
  if (member == members.end()) return;
  constexpr size_t kLongest = 16;
  const std::string order = read_range(file, member->second.begin,
                                       std::min(member->second.size, kLongest), "the byte order");
  if (order != "little")
    throw CheckpointError(file.place(), " is of the byte order '", order,
                          "', want 'little'; save it on another machine");
}

Pickle read_pickle(const ByteStore& file, const ZipMember& member, const std::string& name) {
  if (!member.is_deflated) {
    PickleBytes bytes(file, member.begin, member.begin + member.size);
    return Pickle(bytes);
  }
  const auto inflated = inflated_bytes(file, member, name);
  PickleBytes bytes(*inflated, 0, member.size);
  return Pickle(bytes);
}

StorageRanges storages_of(const Members& members, const std::string& root,
                          const std::string& place) {
  const std::string begin = concat(root, kStorages);
  StorageRanges storages;
  for (auto it = members.lower_bound(begin); it != members.end() && it->first.starts_with(begin);
       ++it) {
    if (it->second.is_deflated)
      throw CheckpointError(place, ": the storage ", it->first,
                            " is packed, want it as torch.save writes it");
    storages[it->first.substr(begin.size())] = {it->second.begin, it->second.size};
  }
  return storages;
}

/// The elements' size of each storage that an object uses.
std::map<std::string, TorchStorage> used_storages(const Pickle& pickle, const std::string& place) {
  std::map<std::string, TorchStorage> used;
  for (const PickleObject& object : pickle.objects()) {
    if (object.kind != PickleKind::kPersistent) continue;
    TorchStorage storage = torch_storage(object, concat(place, ": a tensor"));
    used.emplace(storage.key, std::move(storage));
  }
  return used;
}

StorageRanges stream_storages(PickleBytes& bytes, const Pickle& object, const Pickle& keys) {
  const std::map<std::string, TorchStorage> used = used_storages(object, bytes.place());
  StorageRanges storages;
  size_t at = bytes.position();
  const size_t end = at + bytes.left();
  for (const PickleObject* key : keys.root().items) {
    const auto storage = used.find(key->text);
    if (storage == used.end() || storages.count(key->text) != 0)
      throw CheckpointError(bytes.place(), " has the storage '", key->text,
                            storage == used.end() ? "', which nothing uses" : "' twice");
    const std::string head = read_range(bytes.store(), at, sizeof(int64_t),
                                        concat("the size of the storage '", key->text, "'"));
    const auto count = static_cast<int64_t>(little_endian(head, 0, sizeof(int64_t)));
    const auto size =
        checked_mul(count, static_cast<int64_t>(c10::elementSize(storage->second.dtype)));
    at += sizeof(int64_t);
    if (count != storage->second.count)
      throw CheckpointError(bytes.place(), " has ", count, " elements in the storage '", key->text,
                            "', want ", storage->second.count);
    if (!size || static_cast<size_t>(*size) > end - at)
      throw CheckpointError(bytes.place(), " ends within the storage '", key->text, "' of ", count,
                            " elements; it is cut short");
    storages[key->text] = {at, static_cast<size_t>(*size)};
    at += static_cast<size_t>(*size);
  }
  return storages;
}

}  // namespace

TorchFile read_torch_zip(const ByteStore& file) {
  const Members members = read_zip_directory(file);
  const std::string root = root_of(members, file.place()), name = concat(root, kPickle);
  check_byte_order(file, members, root);
  return {read_pickle(file, members.at(name), name), storages_of(members, root, file.place()),
          members.count(concat(root, kConstants)) != 0};
}

TorchFile read_torch_stream(const ByteStore& file) {
  PickleBytes bytes(file, 0, file.size());
  const Pickle magic(bytes), version(bytes), machine(bytes);
  if (version.root().number != kStreamVersion)
    throw CheckpointError(file.place(), " is of version ", version.root().number,
                          " of torch's files, want ", kStreamVersion);
  const PickleObject* is_little = machine.root().find("little_endian");
  if (is_little == nullptr || is_little->number != 1)
    throw CheckpointError(file.place(), " is big-endian, want little; save it on another machine");
  Pickle object(bytes);
  const Pickle keys(bytes);
  StorageRanges storages = stream_storages(bytes, object, keys);
  return {std::move(object), std::move(storages)};
}

TensorContainer open_torch(const std::filesystem::path& file) {
  std::unique_ptr<ByteStore> opened = open_file_bytes(file, ExitCode::kCheckpoint);
  // The container moves, what its stores are does not.
  const ByteStore& bytes = *opened;
  const FileContent content = file_content(file).content;
  if (content != FileContent::kZip && content != FileContent::kTorchStream)
    throw CheckpointError(bytes.place(),
                          " is no file of torch.save's: want a zip archive, or the "
                          "stream that torch before 1.6 wrote");
  const TorchFile read =
      content == FileContent::kZip ? read_torch_zip(bytes) : read_torch_stream(bytes);
  const StateDict dict = read.is_module ? module_tensors(read.pickle.root(), bytes.place())
                                        : find_state_dict(read.pickle.root(), bytes.place());
  TensorContainer container(file, dict.part);
  const size_t store = container.add_store(std::move(opened));
  for (const auto& [name, tensor] : dict.tensors)
    add_torch_tensor(container, store, bytes, read.storages, name, *tensor);
  return container;
}

}  // namespace vit22b
