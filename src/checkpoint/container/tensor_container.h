#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/byte_store.h"

namespace vit22b {

/// Where a tensor's bytes lie: in one piece of a store, little-endian, in C order.
struct StoredTensor {
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;
  size_t store = 0;       ///< the container's store that has them
  size_t offset = 0;      ///< of the first one in it
  std::string hash = {};  ///< xxh3-128 of them where somebody has recorded it; else ""

  size_t size_bytes() const;
};

/// Named tensors in files, read by ranges: what every format of weights is opened as. A format
/// fills it with what its files say and reads none of the tensors.
class TensorContainer {
 public:
  /// place  the file, or the index of several
  /// part   what of it the tensors are, for people; "" for all of it
  explicit TensorContainer(std::filesystem::path place, std::string part = "")
      : place_(std::move(place)), part_(std::move(part)) {}

  /// Adds bytes that tensors lie in.
  ///
  /// returns  its number
  size_t add_store(std::unique_ptr<ByteStore> store);
  /// Adds a tensor.
  ///
  /// throws  CheckpointError for a name that is there already, or bytes that the store has not
  void add(const std::string& name, StoredTensor tensor);
  /// Moves another container's stores in, with these of its tensors.
  ///
  /// prefix  of their names here
  void take(TensorContainer other, const std::vector<std::string>& names,
            const std::string& prefix = "");
  /// Gives every tensor another name, or takes it out where that is "".
  ///
  /// throws  CheckpointError where two have one then
  void rename(const std::function<std::string(const std::string& name)>& to);
  /// Says which hash a tensor's bytes have to have.
  void expect_hash(const std::string& name, const std::string& hash);

  const std::filesystem::path& place() const { return place_; }
  /// Which of what the file has the tensors are, such as "its 'model_ema' (not its 'model')".
  const std::string& part() const { return part_; }
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }
  /// throws  CheckpointError naming the nearest tensor when there is none of that name
  const StoredTensor& tensor(const std::string& name) const;
  std::vector<std::string> names() const;
  /// The places of the stores, sorted, each once: the files.
  std::vector<std::filesystem::path> files() const;
  /// The place of the store that has a tensor.
  const std::string& file_of(const std::string& name) const;

  /// Reads a part of a tensor's bytes.
  ///
  /// throws  CheckpointError naming the tensor where the file is cut short
  void read(const std::string& name, size_t offset, std::span<std::byte> out) const;
  /// Says that a tensor will not be read again soon, as ByteStore::release.
  void release(const std::string& name) const;
  /// A whole tensor on the CPU, in its own dtype, its hash not checked.
  at::Tensor load(const std::string& name) const;
  /// throws  CheckpointError naming the tensor where its file has changed since it was opened
  void check_unchanged(const std::string& name) const;

 private:
  std::filesystem::path place_;
  std::string part_;
  std::vector<std::unique_ptr<ByteStore>> stores_;
  std::map<std::string, StoredTensor> tensors_;
};

}  // namespace vit22b
