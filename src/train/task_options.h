#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/fields.h"
#include "model/parameter_table.h"
#include "optim/rules.h"
#include "train/other_models.h"

namespace vit22b {

class Task;

/// Something on disk that options of a task name.
struct TaskPlace {
  enum class Kind {
    kCache,       ///< may be another one on resume
    kCheckpoint,  ///< looked into by every start: other weights than the run's are warned of
    kStart        ///< a file that a first start alone asks for; or a word, a colon and more
  };
  std::string option;                ///< such as "lit.cache"
  std::vector<std::string*> values;  ///< what the option says; "" for nowhere
  Kind kind = Kind::kCache;
  bool is_list = false;  ///< the option is a list: its things have one hash together
};

/// A task before it has data: its section of the config, and what follows from that alone. A
/// config holds one for every task, and `task` says which is meant.
class TaskOptions {
 public:
  virtual ~TaskOptions() = default;
  /// What `task` calls it, and the section of the config, if it has fields.
  virtual const char* name() const = 0;
  virtual std::unique_ptr<TaskOptions> copy() const = 0;
  /// The task with these options, not set up yet.
  virtual std::unique_ptr<Task> make() const = 0;

  virtual void fields(FieldVisitor&) {}
  /// Checks its options beside the rest of the config.
  ///
  /// throws  UsageError naming the two that do not go together, or a value out of range
  virtual void check(const TrainConfig&) const {}
  /// The option that is set though another task is meant, such as "lit.image_tower"; "" for none.
  virtual std::string set_in_vain() const { return ""; }
  /// Changes the model that the config names into the one that this task trains.
  virtual void shape(ViTConfig&) const {}
  /// Everything on disk that the options name, pointing into them.
  virtual std::vector<TaskPlace> places() { return {}; }
  /// Parameters of its own: named "task." and more, in the unit kTask of the main tower. `freeze`
  /// and the optimizer's rules take them as all others.
  virtual std::vector<ParameterRow> rows(const TrainConfig&) const { return {}; }
  /// Says of its own towers what trains, and how fast.
  ///
  /// rules  a row of the table each
  virtual void adjust_rules(const std::vector<ParameterRow>&, std::vector<ParameterRule>&) const {}
  /// See other_models; also completes the config's model.
  virtual OtherModels other_models(TrainConfig&) const { return {}; }

  /// Whether the model learns and is judged by classes, which the data has to have.
  virtual bool has_classes() const { return true; }
  /// Whether `init_from` may say which model it is.
  virtual bool may_start_from() const { return true; }
  /// Whether its own parameters alone train, beside a model that stays as it is.
  virtual bool trains_own_alone(const TrainConfig&) const { return false; }
  /// Whether a batch's loss is the mean of its images', in whatever pieces it comes.
  virtual bool is_mean_over_images() const { return true; }
};

/// The options of every task; a value, as the rest of a config is.
class TaskSections {
 public:
  /// Those of the registry.
  TaskSections();
  TaskSections(const TaskSections& other);
  TaskSections& operator=(const TaskSections& other);
  TaskSections(TaskSections&&) = default;
  TaskSections& operator=(TaskSections&&) = default;
  ~TaskSections() = default;

  /// A task that is not the registry's, such as a test's.
  void add(std::unique_ptr<TaskOptions> task) { all_.push_back(std::move(task)); }
  const std::vector<std::unique_ptr<TaskOptions>>& all() const { return all_; }
  /// "classify|distill".
  std::string names() const;
  /// throws  UsageError for a name of none
  const TaskOptions& at(const std::string& name) const;
  /// The options of a kind, such as LitConfig.
  template <class Own>
  Own& of() {
    for (const auto& task : all_)
      if (auto* own = dynamic_cast<Own*>(task.get())) return *own;
    throw InternalError("no such task");
  }

 private:
  std::vector<std::unique_ptr<TaskOptions>> all_;
};

}  // namespace vit22b
