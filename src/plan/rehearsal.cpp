#include <algorithm>
#include <functional>

#include "core/alternation.h"
#include "core/device.h"
#include "core/text.h"
#include "eval/load_predictor.h"
#include "plan/memory.h"
#include "plan/step_time.h"
#include "train/batch_trainer.h"

namespace vit22b {
namespace {

constexpr int64_t kDeeper = 3;        // blocks, where memory allows
constexpr double kShortSeconds = 20;  // of all runs together, as far as more than two are asked
constexpr int64_t kMostRepeats = 9;
// At full width a process's first three steps take twice as long: its pages are new.
constexpr int64_t kLeastRepeats = 5;

/// A training run's step on random images.
class TrainRehearsal {
 public:
  explicit TrainRehearsal(const TrainConfig& config) : trainer_(config) {
    task_ = make_task(config, Device{});
    batch_ = task_->made_up(config, config.data.batch_size).value();
  }
  void run() { trainer_.rehearse(*task_, batch_, /*learning_rate_scale=*/1e-6); }

 private:
  BatchTrainer trainer_;
  std::unique_ptr<Task> task_;
  Batch batch_;
};

// The command with some blocks, as one process with all state in memory.
PlanRequest with_blocks(PlanRequest request, int64_t depth) {
  TrainConfig& config = request.config;
  config.model.depth = depth;
  config.init_from.clear();  // which is of all blocks
  config.state = "memory";
  if (config.store == "streamed" && config.precision != "fp32")
    config.weights = "bf16";  // as they are read
  if (config.mesh.data > 1 || config.store == "streamed") config.store = "resident";
  config.mesh = {.data = 1, .model = 1};
  return request;
}

// Whether what trains is named in ways that say nothing of a model of fewer blocks.
bool names_single_blocks(const PlanRequest& request) {
  const TrainConfig config = with_blocks(request, 1).config;
  const std::vector<ParameterRow> table = parameter_table(config.model);
  const auto is_of_none = [&](const std::string& pattern) {
    return std::none_of(table.begin(), table.end(), [&](const ParameterRow& row) {
      return matches_pattern(row.name, pattern);
    });
  };
  return std::any_of(config.freeze.begin(), config.freeze.end(), is_of_none) ||
         std::any_of(config.tune.begin(), config.tune.end(), is_of_none);
}

// The command with some blocks, as an act that can be repeated.
std::function<void()> act_of(const PlanRequest& request, int64_t depth) {
  const TrainConfig config = with_blocks(request, depth).config;
  if (request.is_training) {
    const auto rehearsal = std::make_shared<TrainRehearsal>(config);
    return [rehearsal] { rehearsal->run(); };
  }
  const auto model = std::make_shared<LoadedModel>(
      fresh_predictor(config.model, /*seed=*/0,
                      {.precision = config.precision,
                       .keeps_packed = request.store != "streamed"},  // packed anew in every pass
                      request.store == "generated" ? "generated" : "resident"));
  return [model, images = made_up_images(config.model, config.data.batch_size)] {
    model->predictor->features(images, {});
  };
}

// What a model of some blocks takes, program and disk left out.
int64_t bytes_of_blocks(const PlanRequest& request, const DeviceSpec& device, int64_t depth) {
  const PlanRequest part = with_blocks(request, depth);
  int64_t bytes = 0;
  for (const MemoryItem& item : part.is_training
                                    ? training_memory(part, TrainOutline(part), device, 0)
                                    : inference_memory(part, device, 0))
    if (item.place != Place::kDisk) bytes += item.bytes;
  return bytes;
}

/// Seconds of the command with one block and with more.
struct Depths {
  double one, more;
};

int64_t repeats_for(double seconds) {
  return std::clamp(static_cast<int64_t>(kShortSeconds / seconds), kLeastRepeats, kMostRepeats);
}

Depths times_in_turn(const PlanRequest& request, int64_t deeper) {
  const auto shallow = act_of(request, 1), deep = deeper > 1 ? act_of(request, deeper) : shallow;
  const double once = seconds_of(shallow) + seconds_of(deep);
  const std::vector<Timing> timings =
      alternate({{"one", shallow}, {"more", deep}}, repeats_for(once));
  return {timings[0].median, timings[1].median};
}

// Where they do not fit into memory together.
Depths times_in_a_row(const PlanRequest& request, int64_t deeper) {
  const auto time_of = [&](int64_t depth) {
    const auto act = act_of(request, depth);
    return alternate({{"some blocks", act}}, repeats_for(2 * seconds_of(act))).front().median;
  };
  const double one = time_of(1);
  return {one, time_of(deeper)};
}

// What a step does of a model that does not train, as inference.
PlanRequest forward_alone(PlanRequest request) {
  request.is_training = false;
  request.store = "resident";
  request.task_work = {};
  request.config.data.batch_size /= request.config.mesh.data;
  return request;
}

}  // namespace

StepTime rehearse(const PlanRequest& request, const RankWork& work, const DeviceSpec& device,
                  int64_t memory_bytes) {
  const at::NoGradGuard no_grad;
  if (request.is_training && request.task_work.exists && !request.task_work.is_main_trained)
    return rehearse(forward_alone(request), work, device, memory_bytes);
  // Other tasks' steps want what only a run has: captions, teachers' answers.
  if (request.is_training && request.config.task != "classify") return {};
  if (request.is_training && names_single_blocks(request)) return {};
  const int64_t depth = request.config.model.depth;
  const auto fits = [&](int64_t blocks) {
    return bytes_of_blocks(request, device, blocks) < memory_bytes;
  };
  const int64_t deeper = std::min(depth, fits(kDeeper) ? kDeeper : int64_t{2});
  if (!fits(deeper)) return {};
  const bool is_together =
      bytes_of_blocks(request, device, 1) + bytes_of_blocks(request, device, deeper) < memory_bytes;
  const auto [one, more] =
      is_together ? times_in_turn(request, deeper) : times_in_a_row(request, deeper);
  const double block = deeper > 1 ? std::max(0.0, more - one) / static_cast<double>(deeper - 1) : 0;
  const double blocks = block * static_cast<double>(depth - 1);
  std::vector<TimePart> parts = {{"a model of one block, measured", one},
                                 {"the other blocks, by what more blocks took", blocks}};
  const std::vector<TimePart> transfers = transfer_parts(request, work, device, one + blocks);
  parts.insert(parts.end(), transfers.begin(), transfers.end());
  StepTime time = time_of(parts);
  // What the computing waits for is known by kind of work alone.
  if (time.limit == parts[0].what || time.limit == parts[1].what)
    time.limit = roofline(request, work, device).limit;
  return time;
}

int64_t bytes_of_a_program(const PlanRequest& request) {
  const at::NoGradGuard no_grad;
  PlanRequest tiny = request;
  tiny.config.model = preset("test8", request.config.model.block);
  tiny.config.task = "classify";
  tiny.config.init_from.clear();
  tiny.config.freeze.clear();
  tiny.config.tune.clear();
  tiny.config.data.batch_size = tiny.config.accumulate;
  act_of(tiny, tiny.config.model.depth)();
  return resident_bytes();
}

}  // namespace vit22b
