#include "train/run_folder.h"

#include <unistd.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "core/checksum.h"
#include "core/device.h"
#include "core/error.h"
#include "core/log.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigName = "config.resolved.toml";
// What may change on resume besides durations: how fast and where, not what is computed.
const std::vector<std::string> kFreeKeys = {
    "threads",        "device",     "keep_last",       "data.workers",  "data.root",
    "mesh.data",      "mesh.model", "mesh.deadline_s", "mesh.prefetch", "mesh.ring",
    "mesh.transfers", "store",      "state",           "state_path"};

ConfigTree as_tree(const TrainConfig& config) {
  ConfigTree tree;
  for (const std::string& line : split(to_toml(config), '\n'))
    if (!line.empty()) set_override(tree, line);
  return tree;
}

}  // namespace

RunFolder::RunFolder(FileOps& ops, fs::path path)
    : ops_(ops),
      path_(std::move(path)),
      checkpoints_(ops, path_ / "ckpt"),
      events_(ops, path_ / "tb") {
  ops_.make_folder(path_);
  lock_ = std::make_unique<FolderLock>(path_);
  for (const std::string& name : checkpoints_.clean_leftovers())
    log_warn(concat("removed ", (path_ / "ckpt" / name).string(), ", left by an interrupted save"));
  log_to_file(path_ / "log.txt");
}

bool RunFolder::has_config() const {
  return fs::exists(path_ / kConfigName);
}

void RunFolder::check_same_config(const TrainConfig& config) const {
  // Read and written again: an option that is new since then has its default.
  const ConfigTree old_tree =
      as_tree(train_config_from_tree(read_config_file(path_ / kConfigName)));
  const ConfigTree new_tree = as_tree(config);
  const std::vector<std::string> differences = config_difference(old_tree, new_tree, kFreeKeys);
  if (differences.empty()) return;
  throw UsageError(
      "the run in ", path_.string(), " had another config:\n  ", join(differences, "\n  "),
      "\nuse the old values to resume, another --out, or --no-resume to start again here");
}

void RunFolder::set_aside() {
  int number = 1;
  while (fs::exists(path_ / concat("previous-", number))) ++number;
  const fs::path aside = path_ / concat("previous-", number);
  ops_.make_folder(aside);
  for (const char* name : {"ckpt", "metrics.jsonl", "tb", kConfigName, "meta.json", "results",
                           "report.html", "diagnosis.json", "bad_samples.txt"})
    if (fs::exists(path_ / name)) ops_.rename(path_ / name, aside / name);
  log_info(concat("the earlier run was moved to ", aside.string()));
}

void RunFolder::begin(const TrainConfig& config, const std::string& command_line) {
  const std::string toml = to_toml(config);
  write_text(ops_, path_ / kConfigName, toml);
  nlohmann::ordered_json meta = {{"command", command_line},
                                 {"config_xxh3_128", hash_of_text(toml)},
                                 {"working_folder", fs::current_path().string()},
                                 {"started_unix", static_cast<int64_t>(std::time(nullptr))},
                                 {"pid", ::getpid()}};
  for (const auto& [name, value] : environment_report({})) meta[name] = value;
  write_text(ops_, path_ / "meta.json", meta.dump(1) + "\n");
}

void RunFolder::append_metrics(const std::string& json_line) {
  append_text(ops_, path_ / "metrics.jsonl", json_line + "\n");
  events_.append(json_line);
}

int64_t RunFolder::metrics_bytes() const {
  std::error_code error;
  const auto size = fs::file_size(path_ / "metrics.jsonl", error);
  return error ? 0 : static_cast<int64_t>(size);
}

void RunFolder::cut_metrics(int64_t bytes) {
  const fs::path path = path_ / "metrics.jsonl";
  if (metrics_bytes() > bytes) {
    std::error_code error;
    fs::resize_file(path, static_cast<uintmax_t>(bytes), error);
    if (error) throw UsageError("cannot cut ", path.string(), ": ", error.message());
  }
  events_.restart(metrics_bytes() > 0 ? read_text(path, ExitCode::kUsage) : "");
}

void RunFolder::write_bad_samples(const std::vector<std::string>& lines) {
  write_text(ops_, path_ / "bad_samples.txt", join(lines, "\n") + "\n");
}

}  // namespace vit22b
