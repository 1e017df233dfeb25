#include "train/run_folder.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "core/checksum.h"
#include "core/device.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "train/run_sources.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

// What may change on resume besides durations: how fast and where, not what is computed.
const std::vector<std::string> kFreeKeys = {
    "threads",       "device",          "keep_last",    "activation",
    "block_inputs",  "eval.evaluators", "data.workers", "data.max_bad_fraction",
    "data.root",     "mesh.data",       "mesh.model",   "mesh.deadline_s",
    "mesh.prefetch", "mesh.ring",       "store",        "state",
    "state_path",    "mesh.transfers"};

/// What may change on resume of this config.
std::vector<std::string> free_keys(const TrainConfig& config) {
  std::vector<std::string> keys = kFreeKeys;
  // A sum over images may be taken in pieces; a contrastive loss is of the pairs of a piece.
  if (config.task_options().is_mean_over_images()) keys.emplace_back("accumulate");
  for (const auto& options : config.tasks.all())
    for (const TaskPlace& place : options->places())
      if (place.kind == TaskPlace::Kind::kCache) keys.push_back(place.option);
  return keys;
}

ConfigTree as_tree(const TrainConfig& config) {
  ConfigTree tree;
  for (const std::string& line : split(to_toml(config), '\n'))
    if (!line.empty()) set_override(tree, line);
  return tree;
}

}  // namespace

fs::path start_of_run(const fs::path& folder, const std::string& resume) {
  if (!resume.empty()) return resume;
  FileOps ops;
  return CheckpointFolder(ops, folder / "ckpt").latest();
}

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
  return fs::exists(path_ / kResolvedConfig);
}

bool RunFolder::has_steps() const {
  return has_config() && (!checkpoints_.latest().empty() || metrics_bytes() > 0);
}

void RunFolder::check_same_config(const TrainConfig& config,
                                  const std::vector<std::string>& moved) const {
  // Read and written again: an option that is new since then has its default.
  const ConfigTree old_tree = as_tree(read_run_config(path_)), new_tree = as_tree(config);
  std::vector<std::string> ignored = free_keys(config);
  ignored.insert(ignored.end(), moved.begin(), moved.end());
  const std::vector<std::string> differences = config_difference(old_tree, new_tree, ignored);
  if (differences.empty()) return;
  throw UsageError(
      "the run in ", path_.string(), " had another config:\n  ", join(differences, "\n  "),
      "\nuse the old values to resume, another --out, or --no-resume to start again here");
}

fs::path RunFolder::next_aside() const {
  int number = 1;
  while (fs::exists(path_ / concat("previous-", number))) ++number;
  return path_ / concat("previous-", number);
}

void RunFolder::set_aside() {
  const fs::path aside = next_aside();
  ops_.make_folder(aside);
  for (const char* name : {"ckpt", "metrics.jsonl", "tb", kResolvedConfig, "meta.json", "results",
                           "report.html", "diagnosis.json", "bad_samples.txt", "tokenizer.model"})
    if (fs::exists(path_ / name)) ops_.rename(path_ / name, aside / name);
  log_info(concat("the earlier run was moved to ", aside.string()));
}

BestSave RunFolder::go_on_from(const TrainerState& state, bool is_own, bool is_going_back,
                               const Metric& primary) {
  std::vector<int64_t> steps = checkpoints_.steps();
  if (!is_own && (!steps.empty() || metrics_bytes() > 0))
    throw UsageError(path_.string(),
                     " holds a run already, and the checkpoint to go on from is another's: its "
                     "steps and metrics would be mixed; give a new --out, or --no-resume to move "
                     "the earlier run aside");
  cut_metrics(is_own ? state.metrics_bytes : 0);
  if (is_own && is_going_back && !steps.empty() && steps.back() > state.step) {
    const fs::path aside = next_aside() / "ckpt";
    checkpoints_.set_aside_after(state.step, aside);
    log_info(concat("the checkpoints after step ", state.step, " were moved to ", aside.string()));
    steps = checkpoints_.steps();
  }
  if (!is_own) return {};
  const bool is_here = std::binary_search(steps.begin(), steps.end(), state.best_step);
  const BestSave best =
      is_here ? BestSave{state.best_step, state.best_metric} : best_of_rows(primary);
  checkpoints_.set_best(best.step);
  return best;
}

// The best of the checkpoints that are here, by the rows of their validations.
BestSave RunFolder::best_of_rows(const Metric& primary) const {
  const std::string key = "val/" + primary.name;
  BestSave best;
  const fs::path path = path_ / "metrics.jsonl";
  const std::vector<int64_t> steps = checkpoints_.steps();
  if (metrics_bytes() == 0) return best;
  for (const std::string& line : split(read_text(path, ExitCode::kUsage), '\n')) {
    const auto row = parse_json_line<nlohmann::json>(line);
    if (!row.is_object() || !row.contains("step") || !row.contains(key)) continue;
    if (!row["step"].is_number_integer() || !row[key].is_number()) continue;
    const auto step = row["step"].get<int64_t>();
    const auto metric = row[key].get<double>();
    if (best.is_beaten_by(metric, primary) && std::binary_search(steps.begin(), steps.end(), step))
      best = {step, metric};
  }
  return best;
}

void RunFolder::begin(const TrainConfig& config, const std::string& command_line) {
  const std::string toml = to_toml(config);
  write_text(ops_, path_ / kResolvedConfig, toml);
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

std::vector<std::string> RunFolder::bad_samples() const {
  const fs::path path = path_ / "bad_samples.txt";
  std::vector<std::string> lines;
  if (!fs::exists(path)) return lines;
  for (const std::string& line : split(read_text(path, ExitCode::kUsage), '\n'))
    if (!line.empty()) lines.push_back(line);
  return lines;
}

void RunFolder::write_bad_samples(const std::vector<std::string>& lines) {
  write_text(ops_, path_ / "bad_samples.txt", join(lines, "\n") + "\n");
}

}  // namespace vit22b
