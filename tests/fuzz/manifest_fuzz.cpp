#include <ATen/ATen.h>

#include "checkpoint/manifest.h"
#include "fuzz/input.h"

// A checkpoint folder's manifest.json, and the files that it may name.
// readers: checkpoint/manifest.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  static FileOps ops;
  static const auto weights =
      write_safetensors(ops, folder.path() / "model.safetensors", {{"a", at::zeros({3})}});
  static const auto config = folder.write("config.json", "{}\n");
  folder.write("manifest.json", fuzz::text_of(data, size));
  return fuzz::read([&] {
    read_manifest(folder.path());
    verify_manifest(folder.path(), ManifestScope::kModel);
    verify_manifest(folder.path());
  });
}
