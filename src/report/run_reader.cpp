#include "report/run_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/config.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr size_t kFileLimit = size_t{1} << 30;
constexpr size_t kPictureLimit = size_t{1} << 20;

void append(Series& series, double step, const Json& value) {
  if (!value.is_number()) return;
  series.steps.push_back(step);
  series.values.push_back(value.get<double>());
}

void read_metrics(const fs::path& path, RunData& run) {
  if (!fs::exists(path)) return;
  for (const std::string& line : split(read_text(path, ExitCode::kData, kFileLimit), '\n')) {
    const auto row = parse_json_line<Json>(line);
    if (!row.is_object() || !row.contains("step") || !row["step"].is_number()) continue;
    const auto step = row["step"].get<double>();
    for (const auto& [key, value] : row.items()) {
      if (key == "step") continue;
      if (!value.is_array()) {
        append(run.series[key], step, value);
        continue;
      }
      auto& blocks = run.by_block[key];
      if (blocks.size() < value.size()) blocks.resize(value.size());
      for (size_t i = 0; i < value.size(); ++i) append(blocks[i], step, value[i]);
    }
  }
}

// "" for a file that is not there or is no PNG.
std::string read_picture(const fs::path& path) {
  if (!fs::is_regular_file(path)) return "";
  std::string bytes = read_text(path, ExitCode::kData, kPictureLimit);
  return bytes.starts_with("\x89PNG\r\n\x1a\n") ? bytes : "";
}

EvalResult::Example read_example(const Json& json, const fs::path& pictures) {
  const std::string sample = std::to_string(whole_number(json.at("sample")));
  return {json.at("id").get<std::string>(),
          whole_number(json.at("label")),
          whole_number(json.at("prediction")),
          json.at("probability").get<double>(),
          read_picture(pictures / (sample + ".png")),
          read_picture(pictures / (sample + ".attention.png"))};
}

EvalResult::Worst read_worst(const Json& json, const fs::path& pictures) {
  const std::string sample = std::to_string(whole_number(json.at("index")));
  return {json.at("id").get<std::string>(), json.at("miou").get<double>(),
          read_picture(pictures / (sample + ".png")),
          read_picture(pictures / (sample + ".truth.png"))};
}

// "" of what is of no data set.
std::string made_from(const Json& provenance) {
  if (provenance.at("source").get<std::string>().empty()) return "";
  std::string text = provenance.at("source").get<std::string>() + ", split " +
                     provenance.at("split").get<std::string>();
  if (provenance.at("step").is_number())
    text += concat(", step ", whole_number(provenance["step"]));
  return text;
}

/// How many samples; their sums fit too.
int64_t count(const Json& json) {
  constexpr int64_t kMost = int64_t{1} << 40;
  const int64_t value = whole_number(json);
  if (value < 0 || value > kMost) throw wrong_value(json, "a number of samples");
  return value;
}

std::vector<int64_t> counts(const Json& list) {
  if (!list.is_array()) throw wrong_value(list, "a list");
  std::vector<int64_t> values;
  values.reserve(list.size());
  for (const Json& value : list) values.push_back(count(value));
  return values;
}

/// Few classes have their whole matrix, many their counts and the most confused pairs.
void read_confusion(const Json& json, EvalResult& result) {
  if (json.is_object()) {
    result.class_counts = counts(json.at("labels"));
    for (const Json& pair : json.at("most_confused"))
      result.most_confused.push_back({whole_number(pair.at("label")),
                                      whole_number(pair.at("prediction")),
                                      count(pair.at("count"))});
    return;
  }
  if (!json.is_array()) throw wrong_value(json, "a matrix");
  for (const Json& row : json) result.confusion.push_back(counts(row));
  for (size_t i = 0; i < result.confusion.size(); ++i) {
    const std::vector<int64_t>& row = result.confusion[i];
    result.class_counts.push_back(std::accumulate(row.begin(), row.end(), int64_t{0}));
    for (size_t j = 0; j < row.size(); ++j)
      if (i != j && row[j] > 0)
        result.most_confused.push_back({static_cast<int64_t>(i), static_cast<int64_t>(j), row[j]});
  }
  std::stable_sort(result.most_confused.begin(), result.most_confused.end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
}

DataError damaged(const fs::path& file, const Json::exception& e) {
  return DataError(file.string(), " is damaged (", e.what(), "); evaluate again");
}

}  // namespace

Json read_result_json(const fs::path& file) {
  try {
    return parse_json<Json>(read_text(file, ExitCode::kData, kFileLimit), file.string(),
                            ExitCode::kData);
  } catch (const Json::exception& e) {
    throw damaged(file, e);
  }
}

EvalResult result_of(const Json& json, const fs::path& path) {
  EvalResult result;
  result.name = path.stem().string();
  try {
    for (const auto& [key, value] : json.items())
      if (value.is_number()) result.numbers.emplace_back(key, value.get<double>());
    if (json.contains("provenance")) result.made_from = made_from(json["provenance"]);
    if (json.contains("label_names"))
      result.label_names = json["label_names"].get<std::vector<std::string>>();
    if (json.contains("confusion")) read_confusion(json["confusion"], result);
    if (json.contains("calibration"))
      for (const Json& bin : json["calibration"])
        result.calibration.push_back({count(bin.at("count")), bin.at("accuracy").get<double>(),
                                      bin.at("confidence").get<double>()});
    if (json.contains("examples"))
      for (const Json& example : json["examples"])
        result.examples.push_back(read_example(example, path.parent_path() / path.stem()));
    if (json.contains("worst"))
      for (const Json& worst : json["worst"])
        result.worst.push_back(read_worst(worst, path.parent_path() / path.stem()));
    result.tables = read_record_tables(json);
  } catch (const Json::exception& e) {
    throw damaged(path, e);
  }
  return result;
}

RunData read_run(const fs::path& folder) {
  const fs::path config = folder / "config.resolved.toml";
  if (!fs::exists(config))
    throw UsageError(folder.string(), " is no run folder: it has no config.resolved.toml");
  RunData run;
  run.name = fs::canonical(folder).filename().string();
  for (const auto& [key, value] : read_config_file(config))
    run.settings.emplace_back(key, to_toml_text(value));
  read_metrics(folder / "metrics.jsonl", run);
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder / "results", error))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) run.results.push_back(result_of(read_result_json(file), file));
  return run;
}

}  // namespace vit22b
