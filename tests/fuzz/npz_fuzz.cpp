#include "fuzz/input.h"
#include "fuzz/weights.h"

// An .npz file: its directory, and every array.
// readers: checkpoint/container/npz.cpp core/npy_header.cpp
// checkpoint/container/zip_directory.cpp checkpoint/container/inflated_bytes.cpp
// core/strided_bytes.cpp core/stored_bytes.cpp
// checkpoint/container/file_content.cpp checkpoint/container/containers.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  const auto path = folder.write("a.npz", fuzz::text_of(data, size));
  return fuzz::read([&] { fuzz::read_ends(open_container(path)); });
}
