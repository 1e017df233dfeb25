#include "checkpoint/safetensors.h"
#include "fuzz/input.h"
#include "fuzz/tensors.h"

// A safetensors file: its header, and every tensor; and what it holds, written and read again.
// readers: checkpoint/safetensors.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  static FileOps ops;
  const auto path = folder.write("model.safetensors", fuzz::text_of(data, size));
  return fuzz::read([&] {
    const SafetensorsFile file(path);
    TensorList tensors;
    for (const auto& [name, entry] : file.entries()) tensors.emplace_back(name, file.load(name));
    const auto copy = folder.path() / "copy.safetensors";
    write_safetensors(ops, copy, tensors, file.metadata());
    const SafetensorsFile again(copy);
    VIT22B_CHECK(again.metadata() == file.metadata(), "metadata change where they are written");
    for (const auto& [name, tensor] : tensors)
      VIT22B_CHECK(fuzz::has_same_bytes(again.load(name), tensor), name, " changes");
    file.entry("no such tensor");
  });
}
