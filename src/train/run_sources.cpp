#include "train/run_sources.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "data/splits.h"
#include "train/run_folder.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

/// Whether a text is a word and a colon before any folder, as train:4000 is, and no path.
bool has_scheme(const std::string& text) {
  const size_t colon = text.find(':');
  return colon != std::string::npos && text.find('/') > colon;
}

void make_absolute(std::string& place, const fs::path& base) {
  if (place.empty() || has_scheme(place)) return;
  place = (base / place).lexically_normal().string();
}

std::string working_folder_of(const fs::path& run) {
  std::error_code error;
  const fs::path path = run / "meta.json";
  if (!fs::exists(path, error)) return "";
  const auto meta = parse_json_line<nlohmann::json>(read_text(path, ExitCode::kUsage));
  const bool is_known =
      meta.is_object() && meta.contains("working_folder") && meta["working_folder"].is_string();
  return is_known ? meta["working_folder"].get<std::string>() : "";
}

std::string checkpoint_hash(const std::string& place) {
  if (!may_be_checkpoint(place)) return "";
  return weights_identity(resolve_checkpoint(place));
}

std::string file_hash(const std::string& place) {
  std::error_code error;
  if (has_scheme(place)) return place;
  return fs::is_regular_file(place, error) ? hash_of_text(read_text(place, ExitCode::kCheckpoint))
                                           : "";
}

// "" for what is not there, which is said where it is opened.
std::string place_hash(const TaskPlace& place) {
  std::string all;
  for (const std::string* value : place.values) {
    const bool is_file = place.kind == TaskPlace::Kind::kStart;
    const std::string hash = is_file ? file_hash(*value) : checkpoint_hash(*value);
    if (hash.empty()) return "";
    all += hash;
  }
  return place.is_list && !all.empty() ? hash_of_text(all) : all;
}

}  // namespace

void make_places_absolute(TrainConfig& config, const fs::path& base) {
  for (std::string* place : {&config.data.root, &config.init_from, &config.state_path})
    make_absolute(*place, base);
  for (const auto& options : config.tasks.all())
    for (const TaskPlace& place : options->places())
      for (std::string* value : place.values) make_absolute(*value, base);
}

TrainConfig read_run_config(const fs::path& run) {
  TrainConfig config = train_config_from_tree(read_config_file(run / kResolvedConfig));
  if (const std::string base = working_folder_of(run); !base.empty())
    make_places_absolute(config, base);
  return config;
}

std::map<std::string, std::string> source_hashes(const TrainConfig& config) {
  std::map<std::string, std::string> hashes;
  if (!config.init_from.empty()) hashes["init_from"] = checkpoint_hash(config.init_from);
  const auto options = config.task_options().copy();
  for (const TaskPlace& place : options->places()) {
    if (place.kind == TaskPlace::Kind::kCache) continue;
    const std::string hash = place_hash(place);
    if (!place.is_list || !hash.empty()) hashes[place.option] = hash;
  }
  return hashes;
}

std::vector<std::string> moved_sources(const std::map<std::string, std::string>& then,
                                       const std::map<std::string, std::string>& now) {
  std::vector<std::string> moved;
  for (const auto& [option, hash] : now)
    if (const auto it = then.find(option);
        it != then.end() && !it->second.empty() && (hash.empty() || hash == it->second))
      moved.push_back(option);
  return moved;
}

void warn_of_other_sources(const TrainConfig& config,
                           const std::map<std::string, std::string>& then,
                           const std::map<std::string, std::string>& now) {
  const auto options = config.task_options().copy();
  for (const TaskPlace& place : options->places()) {
    const auto was = then.find(place.option), is = now.find(place.option);
    if (place.kind != TaskPlace::Kind::kCheckpoint || was == then.end() || is == now.end())
      continue;
    if (!is->second.empty() && is->second != was->second)
      log_warn(concat("resuming with other weights of ", place.option, " than the checkpoint's"));
  }
}

namespace {

DataRecord record_of(const DataSource& source) {
  const SourceIdentity identity = source.identity();
  return {identity.names, identity.contents, source.size(), source.label_names()};
}

}  // namespace

std::map<std::string, DataRecord> data_records(const TrainData& data) {
  std::map<std::string, DataRecord> records = {{"train", record_of(*data.train)}};
  if (data.val != nullptr) records["val"] = record_of(*data.val);
  return records;
}

std::string data_difference(const DataRecord& then, const DataRecord& now) {
  if (then.classes.size() != now.classes.size())
    return concat(now.classes.size(), " classes, there were ", then.classes.size());
  const auto [was, is] =
      std::mismatch(then.classes.begin(), then.classes.end(), now.classes.begin());
  if (was != then.classes.end())
    return concat("class ", was - then.classes.begin(), " is '", *is, "', it was '", *was, "'");
  if (then.size != now.size) return concat(now.size, " images, there were ", then.size);
  if (then.names != now.names) return "images of other names, in another order or class";
  if (then.contents != now.contents) return "images of the same names and another content";
  return "";
}

void warn_of_other_data(const DataConfig& config, const std::map<std::string, DataRecord>& then,
                        const std::map<std::string, DataRecord>& now) {
  for (const auto& [use, record] : now) {
    const auto it = then.find(use);
    const std::string difference = it == then.end() ? "" : data_difference(it->second, record);
    if (difference.empty()) continue;
    const bool is_redrawn = use == "val" && percent(config.val) && it->second.names != record.names;
    log_warn(concat("resuming on other ", use == "val" ? "validation" : "training", " data than ",
                    "the checkpoint's: ", difference, " (", config.root, ")",
                    is_redrawn ? concat("; the ", config.val,
                                        " held out are drawn anew, with pictures among them that "
                                        "the run was trained on")
                               : ""));
  }
}

void check_held_out(const fs::path& run, const DataConfig& config, const TrainData& data) {
  const auto saved = saved_state(resolve_checkpoint(run).folder);
  const std::string place = source_text(config);
  if (!saved || saved->data.count("val") == 0 || saved->data.count("train") == 0) {
    log_warn(concat(run.string(), " does not say what its images were: where ", place,
                    " has changed since, the ", config.val, " held out are others"));
    return;
  }
  const auto now = data_records(data);
  const DataRecord &then_val = saved->data.at("val"), &val = now.at("val");
  std::string difference = data_difference(saved->data.at("train"), now.at("train"));
  if (difference.empty()) difference = data_difference(then_val, val);
  if (then_val.names != val.names)
    throw DataError(place, " is not what ", run.string(), " was trained on any more: ", difference,
                    ". The ", config.val,
                    " held out would be drawn anew, with pictures among them that the run was "
                    "trained on; put the data back as it was, or test on other pictures with "
                    "--data SRC");
  if (!difference.empty())
    log_warn(concat(place, " has changed since ", run.string(), " was trained: ", difference));
}

}  // namespace vit22b
