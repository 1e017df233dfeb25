#include "checkpoint/model_writer.h"
#include "checkpoint/two_towers.h"
#include "fuzz/input.h"
#include "fuzz/tensors.h"

namespace {

using namespace vit22b;
namespace fs = std::filesystem;

/// A folder's two towers, each by its own names.
struct Towers {
  NamedTensors image, text;
};

Towers read_towers(const fs::path& folder, const ModelInfo& info) {
  return {load_weights(folder, parameter_table(info.config)),
          load_weights({folder, trained_file(info)}, parameter_table(trained_config(info)))};
}

void check_same_towers(const Towers& then, const Towers& now) {
  fuzz::check_same(then.image, now.image, fuzz::has_same_numbers);
  fuzz::check_same(then.text, now.text, fuzz::has_same_numbers);
}

fs::path empty_folder(FileOps& ops, const fs::path& folder) {
  ops.remove_all(folder);
  ops.make_folder(folder);
  return folder;
}

// As a training with a locked image tower writes them, and one of both towers.
void write_and_read(FileOps& ops, const fs::path& folder, const ModelInfo& info,
                    const std::string& tokenizer) {
  const Towers towers = read_towers(folder, info);
  const fs::path locked = empty_folder(ops, folder / "locked"),
                 both = empty_folder(ops, folder / "both");
  NamedTensors weights = towers.text;
  Manifest manifest;
  write_model(ops, locked, info, weights, manifest);
  write_frozen_parts(ops, locked, info, {folder, tokenizer}, manifest);
  write_manifest(ops, locked, manifest);
  check_same_towers(towers, read_towers(locked, info));
  for (const auto& [name, tensor] : towers.image) weights[concat(kImagePrefix, name)] = tensor;
  manifest.clear();
  write_model(ops, both, info, weights, manifest);
  write_frozen_parts(ops, both, info, {{}, tokenizer}, manifest);
  write_manifest(ops, both, manifest);
  check_same_towers(towers, read_towers(both, info));
  VIT22B_CHECK(read_tokenizer(both, *info.text) == tokenizer, "another tokenizer");
}

}  // namespace

// A folder of two towers: config.json, the text tower's weights, the image tower's, and the
// tokenizer.
// readers: checkpoint/two_towers.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static FileOps ops;
  const auto [config, text, image, tokenizer] = fuzz::files_of<4>(fuzz::text_of(data, size));
  folder.write("config.json", config);
  folder.write("text.safetensors", text);
  folder.write("model.safetensors", image);
  folder.write("tokenizer.model", tokenizer);
  return fuzz::read([&] {
    const ModelInfo info = read_model_info(folder.path());
    if (info.text)
      write_and_read(ops, folder.path(), info, read_tokenizer(folder.path(), *info.text));
  });
}
