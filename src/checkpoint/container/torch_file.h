#pragma once
#include "checkpoint/container/torch_tensor.h"

namespace vit22b {

/// What a file of torch's says: an object, and where its storages' bytes lie.
struct TorchFile {
  Pickle pickle;
  StorageRanges storages;
  bool is_module = false;  ///< TorchScript's, else torch.save's
};

/// A zip archive of torch.save (since 1.6) or torch.jit.save: ROOT/data.pkl, and each storage as a
/// stored member ROOT/data/KEY.
///
/// throws  CheckpointError: as read_zip_directory and Pickle; no data.pkl, big-endian, packed
///         storages
TorchFile read_torch_zip(const ByteStore& file);

/// What torch.save wrote before 1.6: five pickles (a magic number, a version, the machine, the
/// object, the keys of storages), and behind them each storage as a count of elements, int64, and
/// its bytes.
///
/// throws  CheckpointError: as Pickle; another version, big-endian, a storage cut short or of
///         another size than the object says
TorchFile read_torch_stream(const ByteStore& file);

}  // namespace vit22b
