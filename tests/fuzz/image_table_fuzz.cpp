#include "data/sources/manifest.h"
#include "fuzz/input.h"

// A table of images, separated by commas or tabs.
// readers: data/sources/manifest.cpp data/delimited.cpp data/class_names.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  const auto path = folder.write("table.csv", fuzz::text_of(data, size));
  return fuzz::read([&] {
    std::vector<std::string> splits = manifest_splits(path);
    if (splits.empty()) splits = {"train"};
    for (const std::string& split : splits) {
      const auto source = open_manifest(path, split);
      source->identity();
      for (int64_t i = 0; i < source->size(); ++i) source->captions(i);
    }
  });
}
