#pragma once
#include <optional>
#include <string>
#include <vector>

#include "plan/memory.h"
#include "plan/step_time.h"

namespace vit22b {

/// What a command will take.
struct Plan {
  PlanRequest request;
  DeviceSpec device;
  std::vector<MemoryItem> items;
  StepTime time;
  bool is_rehearsed = false;  ///< the time was measured on parts of the command, else reckoned
  double flops = 0;           ///< of a step over all ranks, recomputation not counted
  double sent_bytes = 0;      ///< of a rank in a step
  double mfu = 0;
  double free_disk_bytes = 0;  ///< of the folder that the command is given in; 0 where not asked
  bool fits = false;
  std::string advice;  ///< the cheapest change that makes it fit, "" where none is needed

  int64_t bytes(Place place) const;
  double images_per_second() const;
  double tokens_per_second() const { return images_per_second() * num_tokens(); }
  double num_tokens() const { return static_cast<double>(request.config.model.num_tokens()); }
};

/// Plans a command; what it says of a preset or a config goes by its words, so that others can be
/// tried.
class Planner {
 public:
  /// name and words as for read_plan_request
  Planner(std::string name, std::vector<std::string> words);
  /// The command as it is; `rehearses` on this machine instead of reckoning.
  Plan plan(bool rehearses) const;
  /// The fastest ways of training on `count` devices that fit, at most `most` of them.
  std::vector<Plan> search(int64_t count, size_t most) const;

 private:
  void look_at_data(TrainConfig& config);
  Plan plan_of(const std::vector<std::string>& changes, bool rehearses) const;
  std::string advice_for(const Plan& plan) const;
  std::optional<Plan> fewest_pieces(std::vector<std::string> changes) const;

  std::string name_;
  std::vector<std::string> words_;
  bool is_training_ = false;
  int64_t program_bytes_ = 0, data_bytes_ = 0;
  TaskWork task_work_;
  std::vector<std::string> label_names_;
  DeviceSpec device_;
};

/// The host's memory that a command takes on this machine at its highest, of a CPU's; nothing is
/// measured but this program's own.
///
/// name, words  as for read_plan_request
int64_t peak_bytes_here(const std::string& name, const std::vector<std::string>& words);
/// Whether that much of this machine's memory can be had.
bool fits_here(int64_t bytes);

/// What a plan differs in from its fellows: mesh, store, policies, pieces of a batch.
std::string choices_text(const Plan& plan);

}  // namespace vit22b
