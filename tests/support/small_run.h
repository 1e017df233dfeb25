#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "core/log.h"
#include "train/trainer.h"

namespace vit22b::test {

/// A config of a model that trains in milliseconds on generated idx data (write_idx), later
/// overrides over earlier ones.
inline TrainConfig small_run(const std::filesystem::path& data,
                             const std::vector<std::string>& overrides) {
  ConfigTree tree;
  for (const char* text :
       {"model.name=test8", "model.img_size=16", "model.in_chans=1", "model.embed_dim=16",
        "model.mlp_ratio=2.0", "data.source=idx", "data.batch_size=8",
        "data.pp_eval=value_range(-1,1)", "data.val=20%", "threads=1"})
    set_override(tree, text);
  set_override(tree, "data.root=" + data.string());
  for (const std::string& text : overrides) set_override(tree, text);
  return train_config_from_tree(tree);
}

/// Eight steps of a small_run of two blocks, a checkpoint after four.
inline TrainConfig eight_steps(const std::filesystem::path& data,
                               const std::vector<std::string>& overrides) {
  std::vector<std::string> all = {"total_steps=8",    "log_steps=2",
                                  "eval_steps=0",     "ckpt_steps=4",
                                  "optim.lr=0.01",    "data.pp_train=value_range(-1,1)",
                                  "optim.name=adamw", "schedule.name=constant",
                                  "model.depth=2"};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return small_run(data, all);
}

/// Trains it quietly. One thread: matrices this small are slower with more, and a thread team does
/// not survive a fork.
inline TrainSummary run_quietly(const TrainConfig& config, const std::filesystem::path& out,
                                Device device = {}) {
  at::set_num_threads(1);
  log_set_quiet(true);
  FileOps ops(ExitCode::kCheckpoint);
  TrainOptions options;
  options.out = out;
  options.is_quiet = true;
  options.device = device;
  return train(config, options, ops);
}

}  // namespace vit22b::test
