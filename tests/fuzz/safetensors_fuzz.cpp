#include "checkpoint/safetensors.h"
#include "fuzz/input.h"

// A safetensors file: its header, and every tensor.
// readers: checkpoint/safetensors.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  const auto path = folder.write("model.safetensors", fuzz::text_of(data, size));
  return fuzz::read([&] {
    const SafetensorsFile file(path);
    for (const auto& [name, entry] : file.entries()) file.load(name);
    file.entry("no such tensor");
  });
}
