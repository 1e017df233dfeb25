#include <ATen/ATen.h>

#include "core/log.h"
#include "fuzz/few_pictures.h"
#include "fuzz/input.h"
#include "train/run_sources.h"

// What a run remembers of its data and checkpoints: config.resolved.toml, meta.json and
// trainer.json.
// readers: train/run_sources.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  static const auto model = folder.write("config.json", "{}\n");
  static FileOps ops;
  static const auto weights =
      write_safetensors(ops, folder.path() / "model.safetensors", {{"a", at::zeros({3})}});
  static const auto pictures = std::make_shared<const fuzz::FewPictures>();
  log_set_terminal(false);
  const auto [config_file, meta, state] = fuzz::files_of<3>(fuzz::text_of(data, size));
  folder.write("config.resolved.toml", config_file);
  folder.write("meta.json", meta);
  folder.write("trainer.json", state);
  TrainConfig config;
  fuzz::read([&] { config = read_run_config(folder.path()); });
  make_places_absolute(config, folder.path());
  return fuzz::read([&] {
    const TrainData sources{pictures, pictures};
    const auto hashes = source_hashes(config);
    const TrainerState saved = saved_state(folder.path()).value();
    moved_sources(saved.sources, hashes);
    warn_of_other_sources(config, saved.sources, hashes);
    warn_of_other_data(config.data, saved.data, data_records(sources));
    check_held_out(folder.path(), config.data, sources);
  });
}
