#include "data/sources/idx.h"
#include "fuzz/input.h"

namespace {

// Writes one of an idx folder's files, gzipped where the bytes are.
void write_idx(const vit22b::fuzz::Folder& folder, const std::string& name,
               std::string_view bytes) {
  const bool is_zipped = bytes.starts_with("\x1f\x8b");
  std::filesystem::remove(folder.path() / (name + (is_zipped ? "" : ".gz")));
  folder.write(name + (is_zipped ? ".gz" : ""), bytes);
}

}  // namespace

// MNIST's pair of files: images and labels, plain or gzipped.
// readers: data/sources/idx.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  const auto [labels, images] = fuzz::files_of<2>(fuzz::text_of(data, size));
  write_idx(folder, "train-labels-idx1-ubyte", labels);
  write_idx(folder, "train-images-idx3-ubyte", images);
  return fuzz::read([&] {
    const auto source = open_idx(folder.path(), "train");
    source->identity();
    if (source->size() > 0) source->read(source->size() - 1);
  });
}
