#include "fuzz/input.h"
#include "train/config.h"

namespace {

using namespace vit22b;

/// Some ranks of a mesh that is only asked for its size.
class Ranks : public Communicator {
 public:
  explicit Ranks(int64_t size) : size_(size) {}
  int64_t rank() const override { return 0; }
  int64_t size() const override { return size_; }
  PendingPtr send(const at::Tensor&, int64_t, std::string_view) override { return nullptr; }
  PendingPtr recv(const at::Tensor&, int64_t, std::string_view) override { return nullptr; }
  PendingPtr start(const Collective&) override { return nullptr; }

 private:
  int64_t size_;
};

Mesh mesh_of(int64_t data, int64_t model) {
  return {std::make_unique<Ranks>(data), std::make_unique<Ranks>(model),
          std::make_unique<Ranks>(data * model)};
}

// What was read can be written, and is read the same; a mesh may still refuse it.
void check_config(const ConfigTree& tree) {
  const TrainConfig config = train_config_from_tree(tree);
  const std::string text = to_toml(config);
  const ConfigTree written = read_config_text(text, "again");
  VIT22B_CHECK(to_toml(train_config_from_tree(written)) == text,
               "a config changes where it is written again");
  config_difference(tree, written, {"mesh."});
  fuzz::read([&] { make_schedule(config, 60'000); });
  static const Mesh wide = mesh_of(3, 1), cut = mesh_of(1, 2);
  for (const Mesh* mesh : {&wide, &cut}) fuzz::read([&] { check_mesh(config, *mesh); });
}

}  // namespace

// A config file of a training, overrides of it, one a line, and a file that it may include. Each
// override alone makes a config too.
// readers: core/config.cpp core/config_apply.cpp core/config_text.cpp train/config.cpp
// train/config_check.cpp model/config.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  constexpr size_t kMostAlone = 10;  // so that an input of many lines takes no seconds
  return fuzz::read([&] {
    const auto [file, overrides, base] = fuzz::files_of<3>(fuzz::text_of(data, size));
    folder.write("base.toml", base);
    ConfigTree tree = read_config_file(folder.write("config.toml", file));
    const std::vector<std::string> lines = split(overrides, '\n');
    for (size_t i = 0; i < std::min(lines.size(), kMostAlone); ++i)
      fuzz::read([&] {
        ConfigTree changed = tree;
        set_override(changed, lines[i]);
        check_config(changed);
      });
    for (const std::string& line : lines) set_override(tree, line);
    check_config(tree);
  });
}
