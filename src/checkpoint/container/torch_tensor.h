#pragma once
#include <map>
#include <string>

#include "checkpoint/container/pickle.h"
#include "checkpoint/container/tensor_container.h"

namespace vit22b {

/// What torch.save writes of a storage where an object uses it.
struct TorchStorage {
  at::ScalarType dtype = at::kFloat;
  std::string key;
  int64_t count = 0;                         ///< of its elements
  int64_t first = 0, count_of_view = count;  ///< the part that is meant (torch before 0.4)
};

/// Where a storage's bytes lie.
struct StorageRange {
  size_t begin = 0, size = 0;
};
using StorageRanges = std::map<std::string, StorageRange>;

/// A storage's reference, as a pickle says it.
///
/// throws  CheckpointError naming the place where it is none, or of an unknown dtype
TorchStorage torch_storage(const PickleObject& persistent, const std::string& place);

/// Whether an object is what torch makes a tensor of, also of a kind that is not read.
bool is_torch_tensor(const PickleObject& object);

/// Adds a tensor to a container: as a range of the file where its elements lie in C order, else
/// through a store that gathers them.
///
/// object   as is_torch_tensor
/// store    the container's number of the file, which is `file`
/// throws   CheckpointError naming the file and the tensor: sparse or quantized, of an unknown
///          dtype, a storage that the file has not, a view that reaches out of its storage, one
///          that repeats its elements beyond 64 MiB
void add_torch_tensor(TensorContainer& container, size_t store, const ByteStore& file,
                      const StorageRanges& storages, const std::string& name,
                      const PickleObject& object);

}  // namespace vit22b
