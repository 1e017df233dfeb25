#include "core/text.h"
#include "train/tasks/tasks.h"

namespace vit22b {
namespace {

using Make = std::unique_ptr<TaskOptions> (*)();

/// In the order of the config's sections.
constexpr Make kTasks[] = {classify_options, distill_options, lit_options, segment_options,
                           depth_options};

}  // namespace

TaskSections::TaskSections() {
  for (const Make make : kTasks) add(make());
}

TaskSections::TaskSections(const TaskSections& other) {
  for (const auto& task : other.all_) add(task->copy());
}

TaskSections& TaskSections::operator=(const TaskSections& other) {
  *this = TaskSections(other);
  return *this;
}

std::string TaskSections::names() const {
  std::vector<std::string> names;
  for (const auto& task : all_) names.emplace_back(task->name());
  return join(names, "|");
}

const TaskOptions& TaskSections::at(const std::string& name) const {
  for (const auto& task : all_)
    if (name == task->name()) return *task;
  throw UsageError("task is '", name, "', want one of ", join(split(names(), '|'), ", "));
}

}  // namespace vit22b
