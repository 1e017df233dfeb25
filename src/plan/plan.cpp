#include "plan/plan.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "core/error.h"
#include "model/flops.h"
#include "plan/measured_device.h"
#include "train/data_setup.h"

namespace vit22b {
namespace {

constexpr double kUsable = 0.97;  // of a memory: the rest is the system's, or lost between blocks
// A GPU program's own host memory: libtorch with CUDA's libraries; not measured here.
constexpr int64_t kGpuProgramBytes = int64_t{3} << 30;
constexpr double kRehearsalShare = 0.6;  // of the host's memory

double peak_of(const Plan& plan) {
  // Ranks of this machine share it.
  const auto devices = static_cast<double>(plan.device.is_cpu ? 1 : plan.request.num_ranks());
  return devices * plan.device.peak_flops(plan.request.config.precision);
}

// Where a run writes: its state file, or the folder that the command is given in.
double free_disk(const PlanRequest& request) {
  if (!request.is_here() || !request.is_training) return 0;
  std::filesystem::path place = std::filesystem::current_path();
  if (!request.config.state_path.empty())
    place = std::filesystem::absolute(request.config.state_path).parent_path();
  std::error_code error;
  const auto space = std::filesystem::space(place, error);
  return error ? 0 : static_cast<double>(space.available);
}

// Of the host's memory, for caches of files.
double spare_bytes(const Plan& plan) {
  return plan.device.host_memory_bytes - static_cast<double>(plan.bytes(Place::kHost));
}

bool has_disk_for(const Plan& plan) {
  return plan.free_disk_bytes == 0 ||
         static_cast<double>(plan.bytes(Place::kDisk)) <= plan.free_disk_bytes;
}

bool fits_into(const Plan& plan) {
  if (!has_disk_for(plan)) return false;
  const auto ranks = static_cast<double>(plan.device.is_cpu ? plan.request.num_ranks() : 1);
  return ranks * static_cast<double>(plan.bytes(Place::kHost)) <=
             kUsable * plan.device.host_memory_bytes &&
         static_cast<double>(plan.bytes(Place::kDevice)) <= kUsable * plan.device.memory_bytes;
}

// Changes that save memory, alone and together; refused ones drop out.
std::vector<std::vector<std::string>> savings(const PlanRequest& request) {
  std::vector<std::vector<std::string>> all;
  if (!request.is_training)
    return {{"precision=bf16"}, {"store=streamed"}, {"store=streamed", "precision=bf16"}};
  std::vector<std::vector<std::string>> updates = {
      {},
      {"update=now", "optim.clip=previous"},
      {"update=now", "optim.clip=previous", "weights=bf16"}};
  if (!request.is_here())
    updates.push_back({"update=now", "optim.clip=previous", "weights=bf16", "state=host"});
  if (request.num_ranks() == 1 && request.is_here())
    updates.push_back({"update=now", "optim.clip=previous", "weights=bf16", "state=file"});
  std::vector<std::vector<std::string>> activations = {{}, {"activation=recompute"}};
  if (!request.is_here()) activations.push_back({"activation=recompute", "block_inputs=host"});
  for (const std::vector<std::string>& update : updates)
    for (const std::vector<std::string>& activation : activations)
      for (const char* precision : {"", "precision=bf16"})
        for (const int64_t pieces : {1, 2, 4, 8, 16}) {
          std::vector<std::string> changes = update;
          changes.insert(changes.end(), activation.begin(), activation.end());
          if (*precision != '\0') changes.emplace_back(precision);
          if (pieces > 1) changes.push_back(concat("accumulate=", pieces));
          if (!changes.empty()) all.push_back(changes);
        }
  return all;
}

// The head's own time, which was measured on this machine; of a cached tower that is all.
void add_task_time(Plan& plan) {
  const TrainConfig& c = plan.request.config;
  std::vector<TimePart> parts;
  if (plan.request.task_work.runs_main) parts = plan.time.parts;
  parts.push_back({"the task's own head, measured on few images",
                   plan.request.task_work.seconds(c.data.batch_size / c.mesh.data)});
  plan.time = time_of(std::move(parts));
}

}  // namespace

int64_t Plan::bytes(Place place) const {
  int64_t sum = 0;
  for (const MemoryItem& item : items)
    if (item.place == place) sum += item.bytes;
  return sum;
}

double Plan::images_per_second() const {
  return static_cast<double>(request.config.data.batch_size) / time.seconds;
}

Planner::Planner(std::string name, std::vector<std::string> words)
    : name_(std::move(name)), words_(std::move(words)) {
  PlanRequest request = read_plan_request(name_, words_);
  is_training_ = request.is_training;
  const bool is_here = request.is_here();
  // Before anything else takes memory that stays.
  program_bytes_ = is_here ? bytes_of_a_program(request) : kGpuProgramBytes;
  device_ = is_here ? measured_device(request.config.precision, request.is_streamed())
                    : named_device(request.device);
  if (!is_training_) return;
  if (std::filesystem::is_directory(request.config.data.root)) look_at_data(request.config);
  task_work_ = measured_task_work(request);
}

// What the data decides, in the config and for plans of other words.
void Planner::look_at_data(TrainConfig& config) {
  const TrainData data = open_train_data(config.data);
  complete_from_data(config, *data.train);
  data_bytes_ = data.train->held_bytes();
  if (config.task_options().has_classes())
    words_.push_back(concat("model.num_classes=", config.model.num_classes));
  else if (config.data.label_names.empty())
    config.data.label_names = data.train->label_names();
  label_names_ = config.data.label_names;
}

Plan Planner::plan_of(const std::vector<std::string>& changes, bool rehearses) const {
  std::vector<std::string> words = words_;
  words.insert(words.end(), changes.begin(), changes.end());
  Plan plan;
  plan.request = read_plan_request(name_, words);
  plan.request.data_bytes = data_bytes_;
  plan.request.task_work = task_work_;
  if (plan.request.config.data.label_names.empty())
    plan.request.config.data.label_names = label_names_;
  plan.device = device_;
  const PlanRequest& r = plan.request;
  const auto images = static_cast<double>(r.config.data.batch_size);
  RankWork work;
  if (r.is_training) {
    const TrainOutline outline(r);
    plan.items = training_memory(r, outline, device_, program_bytes_);
    work = training_work(r, outline, device_, spare_bytes(plan));
    if (!r.task_work.exists || r.task_work.runs_main)
      plan.flops =
          images * (train_flops(r.config.model, outline.backward_share()) + r.others.flops());
  } else {
    plan.items = inference_memory(r, device_, program_bytes_);
    work = inference_work(r, device_, spare_bytes(plan));
    plan.flops = images * forward_flops(r.config.model);
  }
  plan.sent_bytes = work.sent_bytes();
  if (rehearses && device_.is_cpu && r.mfu == 0)
    plan.time =
        rehearse(r, work, device_, static_cast<int64_t>(kRehearsalShare * device_.memory_bytes));
  plan.is_rehearsed = plan.time.seconds > 0;
  if (!plan.is_rehearsed) plan.time = roofline(r, work, device_);
  if (r.task_work.exists && r.is_here()) add_task_time(plan);
  if (r.mfu > 0) plan.time = {plan.flops / (peak_of(plan) * r.mfu), "the given mfu", {}};
  plan.mfu = plan.flops / (plan.time.seconds * peak_of(plan));
  plan.free_disk_bytes = free_disk(r);
  plan.fits = fits_into(plan);
  return plan;
}

// The fastest change that fits, with the fewest words among equals.
std::string Planner::advice_for(const Plan& plan) const {
  if (plan.fits) return "";
  if (!has_disk_for(plan))
    return concat("more disk than the ", human_bytes(plan.free_disk_bytes),
                  " that are free here, or fewer checkpoints (keep_last=1)");
  std::string best;
  double seconds = 0;
  for (const std::vector<std::string>& changes : savings(plan.request)) {
    try {
      const Plan other = plan_of(changes, false);
      if (!other.fits || (!best.empty() && other.time.seconds >= 0.999 * seconds)) continue;
      best = join(changes, " ");
      seconds = other.time.seconds;
    } catch (const UsageError&) {
      continue;  // an illegal combination
    }
  }
  if (best.empty())
    return plan.request.is_training
               ? "no change of policy makes it fit; use more devices (--search N), or a smaller "
                 "batch or model"
               : "use a smaller batch, or store=streamed";
  return best;
}

Plan Planner::plan(bool rehearses) const {
  Plan plan = plan_of({}, rehearses);
  plan.advice = advice_for(plan);
  return plan;
}

// The fewest pieces of a batch with which the other choices fit.
std::optional<Plan> Planner::fewest_pieces(std::vector<std::string> changes) const {
  constexpr int64_t kMostPieces = 64;
  changes.emplace_back();
  for (int64_t pieces = 1; pieces <= kMostPieces; pieces *= 2) {
    changes.back() = concat("accumulate=", pieces);
    try {
      if (Plan plan = plan_of(changes, false); plan.fits) return plan;
    } catch (const UsageError&) {
      return std::nullopt;  // an illegal combination, and so with more pieces
    }
  }
  return std::nullopt;
}

std::vector<Plan> Planner::search(int64_t count, size_t most) const {
  if (!is_training_) throw UsageError("--search plans training; add mode=train");
  const std::vector<std::vector<std::string>> updates = {
      {"update=deferred", "optim.clip=exact"},
      {"update=now", "optim.clip=previous"},
      {"update=now", "optim.clip=previous", "weights=bf16"}};
  std::vector<Plan> plans;
  for (int64_t model = 1; model <= count; ++model) {
    if (count % model != 0) continue;
    for (const char* store : {"store=resident", "store=sharded"})
      for (const char* activation : {"activation=keep", "activation=recompute"})
        for (const std::vector<std::string>& update : updates) {
          std::vector<std::string> changes = {concat("mesh.data=", count / model),
                                              concat("mesh.model=", model), store, activation};
          changes.insert(changes.end(), update.begin(), update.end());
          if (std::optional<Plan> plan = fewest_pieces(std::move(changes)))
            plans.push_back(std::move(*plan));
        }
  }
  std::stable_sort(plans.begin(), plans.end(),
                   [](const Plan& a, const Plan& b) { return a.time.seconds < b.time.seconds; });
  if (plans.size() > most) plans.resize(most);
  return plans;
}

int64_t peak_bytes_here(const std::string& name, const std::vector<std::string>& words) {
  const PlanRequest request = read_plan_request(name, words);
  const int64_t program_bytes = bytes_of_a_program(request);
  DeviceSpec device;
  device.is_cpu = true;
  device.memory_bytes = device.host_memory_bytes = static_cast<double>(host_memory_bytes());
  Plan plan;
  plan.items = request.is_training
                   ? training_memory(request, TrainOutline(request), device, program_bytes)
                   : inference_memory(request, device, program_bytes);
  return plan.bytes(Place::kHost);
}

bool fits_here(int64_t bytes) {
  return static_cast<double>(bytes) <= kUsable * static_cast<double>(host_memory_bytes());
}

std::string choices_text(const Plan& plan) {
  const TrainConfig& c = plan.request.config;
  return concat("mesh.data=", c.mesh.data, " mesh.model=", c.mesh.model, " store=", c.store,
                " activation=", c.activation, " accumulate=", c.accumulate, " update=", c.update,
                " weights=", c.weights);
}

}  // namespace vit22b
