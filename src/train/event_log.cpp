#include "train/event_log.h"

#include <ctime>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "core/text.h"
#include "report/event_file.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "events.out.tfevents.", kEnding = ".vit22b";

/// The file of an earlier start of the run, or an empty path.
fs::path earlier_file(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kPrefix) && name.ends_with(kEnding)) return entry.path();
  }
  return {};
}

double start_of(const fs::path& path) {
  const auto number = leading_number(path.filename().string().substr(kPrefix.size()));
  return number ? number->first : 0;
}

}  // namespace

EventLog::EventLog(FileOps& ops, fs::path folder) : ops_(ops), folder_(std::move(folder)) {}

void EventLog::restart(const std::string& rows) {
  ops_.make_folder(folder_);
  path_ = earlier_file(folder_);
  if (path_.empty())
    path_ = folder_ / concat(kPrefix, static_cast<int64_t>(std::time(nullptr)), kEnding);
  start_s_ = start_of(path_);
  train_seconds_ = 0;
  std::string bytes = first_event(start_s_);
  for (const std::string& row : split(rows, '\n')) bytes += event(row);
  write_text(ops_, path_, bytes);
}

void EventLog::append(const std::string& row) {
  append_text(ops_, path_, event(row));
}

// Rows of validations have no time of their own: they follow a row of training.
std::string EventLog::event(const std::string& row) {
  const auto json = parse_json_line<nlohmann::json>(row);
  if (json.is_object() && json.contains("train_seconds") && json["train_seconds"].is_number())
    train_seconds_ = json["train_seconds"].get<double>();
  return scalar_event(row, start_s_ + train_seconds_);
}

}  // namespace vit22b
