#include "checkpoint/run_checkpoint.h"
#include "fuzz/input.h"
#include "fuzz/tensors.h"

namespace {

using namespace vit22b;

void check_same_state(const TrainerState& then, const TrainerState& now) {
  VIT22B_CHECK(then.step == now.step && then.seed == now.seed &&
                   then.examples_seen == now.examples_seen &&
                   then.train_seconds == now.train_seconds && then.best_metric == now.best_metric &&
                   then.best_step == now.best_step && then.is_eval_pending == now.is_eval_pending &&
                   then.metrics_bytes == now.metrics_bytes && then.layout == now.layout &&
                   then.data == now.data && then.sources == now.sources,
               "trainer.json changes where it is written again");
}

void check_same_run(const RunCheckpoint& then, const RunCheckpoint& now) {
  check_same_state(then.state, now.state);
  fuzz::check_same(then.weights, now.weights, fuzz::has_same_numbers);
  fuzz::check_same(then.optimizer, now.optimizer, fuzz::has_same_bytes);
}

// What a run does with its checkpoints: saves, saves what a validation found, goes back a step.
void save_and_go_back(FileOps& ops, const std::filesystem::path& root, RunCheckpoint run) {
  const KeepPolicy keep{.keep_last = 1, .keep_every_steps = 2};
  CheckpointFolder checkpoints(ops, root);
  checkpoints.save(run, /*is_best=*/false, keep);
  check_same_run(run, load_run_checkpoint(checkpoints.latest()));
  checkpoints.amend(run.state, single_process(), /*is_best=*/true, keep);
  VIT22B_CHECK(checkpoints.holds(checkpoints.latest()), "a checkpoint lies elsewhere");
  check_same_run(run, load_run_checkpoint(root / "best"));
  const int64_t first = run.state.step;
  for (int i = 0; i < 2; ++i) {
    if (run.state.step == std::numeric_limits<int64_t>::max()) return;
    ++run.state.step;
    checkpoints.save(run, /*is_best=*/false, keep);
  }
  checkpoints.set_aside_after(first, root / "aside");
  checkpoints.set_best(-1);
  checkpoints.set_best(first);
  VIT22B_CHECK(checkpoints.clean_leftovers().empty(), "a save leaves something");
  VIT22B_CHECK(checkpoints.steps() == std::vector<int64_t>{first}, "another step is left");
}

}  // namespace

// The checkpoint that a training goes on from: trainer.json; config.json, weights and the
// optimizer's state, which a manifest records.
// readers: checkpoint/run_checkpoint.cpp core/json.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static FileOps ops;
  return fuzz::read([&] {
    const std::filesystem::path input = folder.path() / "input", saves = folder.path() / "saves";
    const auto [state, config, weights, optimizer] = fuzz::files_of<4>(fuzz::text_of(data, size));
    ops.make_folder(input);
    Manifest manifest;
    for (const auto& [name, bytes] : {std::pair{"trainer.json", state},
                                      {"config.json", config},
                                      {"model.safetensors", weights},
                                      {"optimizer.safetensors", optimizer}})
      write_recorded_text(ops, input, name, std::string(bytes), manifest);
    write_manifest(ops, input, manifest);
    saved_step(input);
    const RunCheckpoint run = load_run_checkpoint(input);
    ops.remove_all(saves);
    save_and_go_back(ops, saves, run);
  });
}
