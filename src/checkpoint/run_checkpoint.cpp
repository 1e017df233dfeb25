#include "checkpoint/run_checkpoint.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "checkpoint/adapters.h"
#include "checkpoint/saver.h"
#include "core/error.h"
#include "core/json.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr size_t kStateLimit = 64 << 20;  // a million names of classes, twice
constexpr const char* kStateName = "trainer.json";

Json data_json(const std::map<std::string, DataRecord>& data) {
  Json json = Json::object();
  for (const auto& [use, record] : data)
    json[use] = {{"names", record.names},
                 {"contents", record.contents},
                 {"size", record.size},
                 {"classes", record.classes}};
  return json;
}

std::map<std::string, DataRecord> data_from(const Json& json) {
  std::map<std::string, DataRecord> data;
  for (const auto& [use, record] : json.items())
    data[use] = {record.at("names").get<std::string>(), record.at("contents").get<std::string>(),
                 whole_number(record.at("size")),
                 record.at("classes").get<std::vector<std::string>>()};
  return data;
}

std::string state_text(const TrainerState& s) {
  return Json{{"step", s.step},
              {"seed", s.seed},
              {"examples_seen", s.examples_seen},
              {"train_seconds", s.train_seconds},
              {"best_metric", s.best_metric},
              {"best_step", s.best_step},
              {"is_eval_pending", s.is_eval_pending},
              {"metrics_bytes", s.metrics_bytes},
              {"layout", s.layout},
              {"data", data_json(s.data)},
              {"sources", s.sources}}
             .dump(1, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

TrainerState read_state(const fs::path& path) {
  try {
    const auto json = parse_json<Json>(read_text(path, ExitCode::kCheckpoint, kStateLimit),
                                       path.string(), ExitCode::kCheckpoint);
    TrainerState s;
    s.step = whole_number(json.at("step"));
    s.seed = whole_number<uint64_t>(json.at("seed"));
    s.examples_seen = whole_number(json.at("examples_seen"));
    s.train_seconds = json.at("train_seconds").get<double>();
    s.best_metric = json.at("best_metric").get<double>();
    s.best_step = whole_number(json.at("best_step"));
    s.is_eval_pending = json.at("is_eval_pending").get<bool>();
    s.metrics_bytes = whole_number(json.at("metrics_bytes"));
    s.layout = json.at("layout").get<std::map<std::string, std::string>>();
    if (json.contains("data")) s.data = data_from(json.at("data"));
    if (json.contains("sources"))
      s.sources = json.at("sources").get<std::map<std::string, std::string>>();
    return s;
  } catch (const Json::exception& e) {
    throw CheckpointError(path.string(), " is damaged (", e.what(), "); use an older checkpoint");
  }
}

/// Whether a folder is a whole save of this program's: what may be replaced or pruned.
bool is_checkpoint(const fs::path& folder) {
  return !fs::is_symlink(folder) && fs::exists(folder / "manifest.json") &&
         fs::exists(folder / kStateName);
}

/// Step numbers of the whole checkpoints in a folder, ascending.
std::vector<int64_t> saved_steps(const fs::path& root) {
  std::vector<int64_t> steps;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("step-") ||
        name.find_first_not_of("0123456789", 5) != std::string::npos || name.size() > 24)
      continue;
    if (is_checkpoint(entry.path())) steps.push_back(std::stoll(name.substr(5)));
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

// The first thing read of a folder, after all of it has been checked.
ModelInfo verified_info(const CheckpointPath& checkpoint, const Mesh& mesh) {
  verify_manifest(checkpoint.folder, mesh);
  ModelInfo info = read_model_info(checkpoint);
  if (info.base) info.base = find_base(checkpoint);
  return info;
}

CheckpointPath place_of(const fs::path& folder, const std::string& base) {
  CheckpointPath place{folder};
  if (!base.empty()) place.given = concat(kGivenBase, base);
  return place;
}

CheckpointPath weights_of(CheckpointPath place, const ModelInfo& info) {
  place.weights = trained_file(info);
  return place;
}

}  // namespace

std::string step_folder_name(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  return name;
}

CheckpointFolder::CheckpointFolder(FileOps& ops, fs::path root)
    : ops_(ops), root_(std::move(root)) {}

std::vector<std::string> CheckpointFolder::clean_leftovers() {
  std::vector<std::string> removed;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root_, error))
    if (const std::string name = entry.path().filename().string(); is_temporary_name(name))
      removed.push_back(name);
  for (const std::string& name : removed) ops_.remove_all(root_ / name);
  return removed;
}

void CheckpointFolder::save(const RunCheckpoint& checkpoint, bool is_best, const KeepPolicy& keep) {
  save({checkpoint.info, whole_parts(checkpoint.weights), whole_parts(checkpoint.optimizer),
        checkpoint.state},
       single_process(), is_best, keep);
}

void CheckpointFolder::save(const RunParts& parts, const Mesh& mesh, bool is_best,
                            const KeepPolicy& keep) {
  const std::string name = step_folder_name(parts.state.step);
  const fs::path beside = mesh.once([&] {
    ops_.make_folder(root_);
    const fs::path made = temporary_beside(root_ / name);
    ops_.make_new_folder(made);
    return made.string();
  });
  Manifest manifest;
  write_model(ops_, beside, parts.info,
              PartsToWrite{parts.weights, parts.written, parts.is_for_peft}, mesh, manifest);
  if (parts.frozen)
    mesh.do_once([&] { write_frozen_parts(ops_, beside, parts.info, *parts.frozen, manifest); });
  manifest["optimizer.safetensors"] = write_parts(
      ops_, beside / "optimizer.safetensors",
      PartList(parts.optimizer.begin(), parts.optimizer.end()), {}, mesh, parts.written);
  mesh.do_once([&] {
    write_recorded_text(ops_, beside, kStateName, state_text(parts.state), manifest);
    write_manifest(ops_, beside, manifest);
    ops_.sync_folder(beside);
    publish(beside, name, is_best, keep);
  });
}

void CheckpointFolder::amend(const TrainerState& state, const Mesh& mesh, bool is_best,
                             const KeepPolicy& keep) {
  mesh.do_once([&] {
    const std::string name = step_folder_name(state.step);
    const fs::path saved = root_ / name, beside = temporary_beside(saved);
    Manifest manifest = read_manifest(saved);
    ops_.make_new_folder(beside);
    for (const auto& [file, record] : manifest)
      if (file != kStateName) ops_.link(saved / file, beside / file);
    write_recorded_text(ops_, beside, kStateName, state_text(state), manifest);
    write_manifest(ops_, beside, manifest);
    ops_.sync_folder(beside);
    publish(beside, name, is_best, keep);
  });
}

void CheckpointFolder::publish(const fs::path& beside, const std::string& name, bool is_best,
                               const KeepPolicy& keep) {
  const fs::path target = root_ / name;
  if (fs::exists(fs::symlink_status(target))) {  // an earlier save of this step: swapped in one
                                                 // call, so that one of them always stands
    if (!is_checkpoint(target))
      throw CheckpointError(target.string(), " is no checkpoint of this program; move it away");
    ops_.exchange(beside, target);
    ops_.remove_all(beside);
  } else {
    ops_.rename(beside, target);
  }
  ops_.sync_folder(root_);
  if (is_best) point("best", name);
  point("latest", name);
  ops_.sync_folder(root_);
  prune(keep);
}

void CheckpointFolder::point(const std::string& link, const std::string& target) {
  const fs::path beside = temporary_beside(root_ / link);
  ops_.symlink(target, beside);
  ops_.rename(beside, root_ / link);
}

void CheckpointFolder::prune(const KeepPolicy& keep) {
  const std::vector<int64_t> steps = saved_steps(root_);
  std::error_code error;
  const std::string best = fs::read_symlink(root_ / "best", error).string();
  const std::string newest = fs::read_symlink(root_ / "latest", error).string();
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string name = step_folder_name(steps[i]);
    const bool is_recent =
        static_cast<int64_t>(steps.size() - i) <= std::max<int64_t>(1, keep.keep_last);
    const bool is_milestone = keep.keep_every_steps > 0 && steps[i] % keep.keep_every_steps == 0;
    if (!is_recent && !is_milestone && name != best && name != newest) {
      // Renamed first, so that a half-removed folder never looks like a checkpoint.
      const fs::path aside = temporary_beside(root_ / name);
      ops_.rename(root_ / name, aside);
      ops_.remove_all(aside);
    }
  }
}

fs::path CheckpointFolder::latest() const {
  if (fs::exists(root_ / "latest" / "manifest.json")) return fs::canonical(root_ / "latest");
  const std::vector<int64_t> steps = saved_steps(root_);
  return steps.empty() ? fs::path() : root_ / step_folder_name(steps.back());
}

std::vector<int64_t> CheckpointFolder::steps() const {
  return saved_steps(root_);
}

bool CheckpointFolder::holds(const fs::path& folder) const {
  std::error_code error;
  return fs::equivalent(folder / "..", root_, error);
}

void CheckpointFolder::set_best(int64_t step) {
  std::error_code error;
  const fs::path link = root_ / "best";
  if (step < 0) {
    if (fs::is_symlink(link, error)) ops_.remove_all(link);
  } else if (fs::read_symlink(link, error) != step_folder_name(step)) {
    point("best", step_folder_name(step));
  }
}

void CheckpointFolder::set_aside_after(int64_t step, const fs::path& aside) {
  point("latest", step_folder_name(step));
  std::vector<int64_t> all = saved_steps(root_);
  ops_.make_folder(aside);
  for (; !all.empty() && all.back() > step; all.pop_back())
    ops_.rename(root_ / step_folder_name(all.back()), aside / step_folder_name(all.back()));
}

namespace {

/// A task's own parameters, as its file has them.
std::vector<ParameterRow> rows_in(const TensorContainer& files) {
  std::vector<ParameterRow> rows;
  for (const auto& [name, tensor] : files.tensors()) {
    ParameterRow& row = rows.emplace_back();
    row.name = row.local_name = name;
    row.shape = tensor.shape;
  }
  return rows;
}

}  // namespace

SavedRun::SavedRun(const fs::path& folder, const Mesh& mesh, const std::string& base)
    : info_(verified_info(place_of(folder, base), mesh)),
      state_(read_state(folder / kStateName)),
      weights_(weights_of(place_of(folder, base), info_), parameter_table(trained_config(info_)),
               info_.base ? TensorHashes::kCheck : TensorHashes::kChecked),  // a base was not
      optimizer_(folder / "optimizer.safetensors") {
  if (info_.text)
    image_weights_.emplace(folder, parameter_table(info_.config), TensorHashes::kChecked);
  if (fs::exists(folder / kTaskFile)) {
    const CheckpointPath task{folder, kTaskFile};
    task_weights_.emplace(task, rows_in(open_weights(task)), TensorHashes::kChecked);
  }
}

at::Tensor SavedRun::weight(const ParameterRow& row) const {
  if (row.unit.kind == UnitKind::kTask) {
    if (!task_weights_)
      throw CheckpointError(weights_.files().place().string(), " has no ", kTaskFile, " beside it");
    return task_weights_->whole(row);
  }
  if (row.unit.tower == Tower::kImage) return image_weights_.value().whole(alone_in_its_tower(row));
  return weights_.whole(row);
}

void SavedRun::read(const ParameterRow& row, at::Tensor& target) const {
  if (row.unit.kind == UnitKind::kTask || row.unit.tower == Tower::kImage)
    target.copy_(weight(row));
  else
    weights_.read(row, target);
}

bool SavedRun::is_of_base(const ParameterRow& row) const {
  return info_.base && row.unit.kind != UnitKind::kTask &&
         !weights_.files().contains(concat(kAdapterPrefix, row.name));
}

at::Tensor SavedRun::optimizer(const std::string& name) const {
  return optimizer_.contains(name) ? optimizer_.load(name) : at::Tensor();
}

std::vector<std::string> SavedRun::optimizer_names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : optimizer_.entries()) names.push_back(name);
  return names;
}

std::optional<TrainerState> saved_state(const fs::path& folder) {
  if (!fs::exists(folder / kStateName)) return std::nullopt;
  return read_state(folder / kStateName);
}

std::optional<int64_t> saved_step(const fs::path& folder) {
  const auto state = saved_state(folder);
  return state ? std::optional(state->step) : std::nullopt;
}

RunCheckpoint load_run_checkpoint(const fs::path& folder) {
  const SavedRun saved(folder, single_process());
  RunCheckpoint checkpoint{saved.info(), {}, {}, saved.state()};
  for (const ParameterRow& row : parameter_table(trained_config(saved.info())))
    checkpoint.weights[row.name] = saved.weight(row);
  for (const std::string& name : saved.optimizer_names())
    checkpoint.optimizer[name] = saved.optimizer(name);
  return checkpoint;
}

}  // namespace vit22b
