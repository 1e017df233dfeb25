#include <ATen/ATen.h>

#include "checkpoint/manifest.h"
#include "fuzz/input.h"

namespace {

bool is_same(const vit22b::Manifest& a, const vit22b::Manifest& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.size == y.second.size && x.second.hash == y.second.hash &&
           x.second.tensors == y.second.tensors;
  });
}

}  // namespace

// A checkpoint folder's manifest.json, and the files that it may name.
// readers: checkpoint/manifest.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  static FileOps ops;
  static const auto weights =
      write_safetensors(ops, folder.path() / "model.safetensors", {{"a", at::zeros({3})}});
  static const auto config = folder.write("config.json", "{}\n");
  static const auto state = folder.write("trainer.json", "{}\n");
  folder.write("manifest.json", fuzz::text_of(data, size));
  return fuzz::read([&] {
    const Manifest read = read_manifest(folder.path());
    // What was read can be written, and is read the same.
    const std::filesystem::path copy = folder.path() / "copy";
    ops.remove_all(copy);
    make_recorded_folder(ops, copy, [&](const std::filesystem::path& beside, Manifest& manifest) {
      write_recorded_text(ops, beside, "config.json", "{}\n", manifest);
    });
    verify_manifest(copy);
    write_manifest(ops, copy, read);
    VIT22B_CHECK(is_same(read_manifest(copy), read),
                 "a manifest changes where it is written again");
    verify_manifest(folder.path(), ManifestScope::kModelButTensors);
    verify_manifest(folder.path(), ManifestScope::kModel);
    verify_manifest(folder.path(), single_process());
  });
}
