#include "fuzz/input.h"
#include "train/config.h"

// A config file of a training, and overrides of it, one a line.
// readers: core/config.cpp core/config_apply.cpp core/config_text.cpp train/config.cpp
// train/config_check.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  return fuzz::read([&] {
    const auto [file, overrides] = fuzz::files_of<2>(fuzz::text_of(data, size));
    ConfigTree tree = read_config_file(folder.write("config.toml", file));
    for (const std::string& line : split(overrides, '\n')) set_override(tree, line);
    const TrainConfig config = train_config_from_tree(tree);
    // What was read can be written, and is read the same.
    const std::string text = to_toml(config);
    const TrainConfig again = train_config_from_tree(read_config_text(text, "again"));
    VIT22B_CHECK(to_toml(again) == text, "a config changes where it is written again");
  });
}
