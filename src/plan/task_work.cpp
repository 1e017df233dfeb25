#include "plan/task_work.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "core/resident_meter.h"
#include "eval/vit_predictor.h"
#include "plan/outline.h"
#include "train/task.h"

namespace vit22b {
namespace {

constexpr Unit kOwnUnit{UnitKind::kTask};
constexpr int64_t kFewer = 2, kMore = 3;  // images: batch norms of pooled maps want two

/// A task's loss, with all that a step would hand to it.
class LossRehearsal {
 public:
  explicit LossRehearsal(const PlanRequest& request)
      : config_(request.config), task_(make_task(config_, Device{})) {
    const TrainOutline outline(request);
    for (const ParameterRow& row : config_.task_options().rows(config_))
      own_[row.local_name] = at::randn(row.shape) * kSmall;
    own_trained_ = outline.sinks().updating->trained(kOwnUnit);
    is_main_trained_ = outline.trained_blocks() > 0;
  }

  bool exists() const { return !own_.empty() && task_->made_up(config_, 1).has_value(); }

  struct Measured {
    int64_t bytes = 0, sample_bytes = 0;
    double seconds = 0;
  };
  Measured measure(int64_t images) const {
    const at::NoGradGuard no_grad;
    const Batch batch = task_->made_up(config_, images).value();
    const TowerOutputs outputs = outputs_of(images);
    Measured measured;
    for (const auto& [name, tensor] : batch.fields)
      measured.sample_bytes += static_cast<int64_t>(tensor.nbytes()) / images;
    for (int i = 0; i < 2; ++i) {  // a first pass makes what stays
      const ResidentMeter meter;
      const auto begin = std::chrono::steady_clock::now();
      task_->loss(outputs, batch, single_process());
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      measured.bytes = meter.peak();
      measured.seconds = seconds.count();
    }
    return measured;
  }

  TaskWork work() const {
    TaskWork work;
    work.exists = true;
    work.runs_main = task_->runs_main();
    work.is_main_trained = is_main_trained_;
    work.taps = task_->taps();
    for (const std::string& name : own_trained_)
      work.gradient_bytes += static_cast<int64_t>(own_.at(name).nbytes());
    return work;
  }

 private:
  static constexpr double kSmall = 0.02;

  TowerOutputs outputs_of(int64_t images) const {
    TowerOutputs outputs;
    outputs.own = own_;
    outputs.own_trained = own_trained_;
    outputs.is_main_trained = is_main_trained_;
    if (!task_->runs_main()) return outputs;
    const ViTConfig& model = config_.model;
    const auto tokens = [&](at::ScalarType type) {
      return at::randn({images, model.num_tokens(), model.embed_dim}).to(type);
    };
    outputs.main.tokens_BTD = tokens(precision_type(config_.precision));
    for (const int64_t block : task_->taps())
      outputs.main.blocks[block] = tokens(residual_type(config_.precision));
    return outputs;
  }

  TrainConfig config_;
  std::unique_ptr<Task> task_;
  NamedTensors own_;
  std::set<std::string> own_trained_;
  bool is_main_trained_ = false;
};

}  // namespace

TapBytes TaskWork::tap_bytes(const TrainConfig& config, int64_t trained_blocks) const {
  const ViTConfig& model = config.model;
  const int64_t images = config.data.batch_size / config.mesh.data / config.accumulate;
  const int64_t one = images * model.num_tokens() * model.embed_dim / config.mesh.model *
                      static_cast<int64_t>(c10::elementSize(residual_type(config.precision)));
  const int64_t first_taped = model.depth - trained_blocks;
  TapBytes bytes;
  // A tape keeps the inputs of its blocks, which are the outputs of those before.
  for (const int64_t block : taps)
    if (block + 1 < first_taped || block + 1 == model.depth) bytes.held += one;
  // The last block's, which the head sees through the final norm, is not among the taps.
  if (is_main_trained) bytes.gradients = (std::ssize(taps) + 1) * one;
  return bytes;
}

TaskWork measured_task_work(const PlanRequest& request) {
  if (request.config.task_options().rows(request.config).empty()) return {};
  const LossRehearsal rehearsal(request);
  if (!rehearsal.exists()) return {};
  TaskWork work = rehearsal.work();
  const TrainConfig& c = request.config;
  const int64_t images = c.data.batch_size / c.mesh.data / c.accumulate;
  const LossRehearsal::Measured more = rehearsal.measure(std::min(images, kMore));
  work.sample_bytes = more.sample_bytes;
  if (images <= kMore) {
    work.image_bytes = more.bytes / images;
    work.image_seconds = more.seconds / static_cast<double>(images);
    return work;
  }
  const LossRehearsal::Measured fewer = rehearsal.measure(kFewer);
  work.image_bytes = more.bytes - fewer.bytes;
  work.constant_bytes = std::max<int64_t>(0, fewer.bytes - kFewer * work.image_bytes);
  // By the share of an image: differences of two short times are noise.
  work.image_seconds = more.seconds / static_cast<double>(kMore);
  return work;
}

}  // namespace vit22b
