#include "checkpoint/container/containers.h"
#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/container/safetensors_writer.h"
#include "fuzz/input.h"
#include "fuzz/tensors.h"

// A safetensors file: its header, and every tensor; and what it holds, written and read again.
// readers: checkpoint/container/safetensors_header.cpp checkpoint/container/safetensors_file.cpp
// checkpoint/container/safetensors.cpp checkpoint/container/tensor_container.cpp
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
    const TensorContainer container = open_safetensors(path);
    for (const auto& [name, tensor] : tensors)
      VIT22B_CHECK(fuzz::has_same_bytes(container.load(name), tensor), name, " is read otherwise");
    file.entry("no such tensor");
  });
}
