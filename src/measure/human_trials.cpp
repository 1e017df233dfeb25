#include "measure/human_trials.h"

#include <algorithm>
#include <cctype>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "data/delimited.h"
#include "measure/named_rows.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

/// A condition that does not count.
struct LeftOut {
  const char *experiment, *condition;
};
// source  model-vs-human plotting/plot.py, EXCLUDE_CONDITIONS
constexpr LeftOut kLeftOut[] = {{"colour", "cr"},
                                {"contrast", "c100"},
                                {"contrast", "c03"},
                                {"contrast", "c01"},
                                {"high-pass", "inf"},
                                {"high-pass", "0.55"},
                                {"high-pass", "0.45"},
                                {"high-pass", "0.4"},
                                {"low-pass", "0"},
                                {"low-pass", "15"},
                                {"low-pass", "40"},
                                {"phase-scrambling", "0"},
                                {"phase-scrambling", "150"},
                                {"phase-scrambling", "180"},
                                {"power-equalisation", "0"},
                                {"false-colour", "True"},
                                {"rotation", "0"},
                                {"eidolonI", "1-10-10"},
                                {"eidolonI", "64-10-10"},
                                {"eidolonI", "128-10-10"},
                                {"eidolonII", "1-3-10"},
                                {"eidolonII", "32-3-10"},
                                {"eidolonII", "64-3-10"},
                                {"eidolonII", "128-3-10"},
                                {"eidolonIII", "1-0-10"},
                                {"eidolonIII", "16-0-10"},
                                {"eidolonIII", "32-0-10"},
                                {"eidolonIII", "64-0-10"},
                                {"eidolonIII", "128-0-10"},
                                {"uniform-noise", "0.0"},
                                {"uniform-noise", "0.6"},
                                {"uniform-noise", "0.9"}};

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// The last part of trial_experiment_session_condition_category_nn_image.png; ImageNet's images have
// two, n01234567_89.
std::string key_of(const std::string& image_name) {
  const std::vector<std::string> parts = split(image_name, '_');
  const size_t n = parts.size();
  if (n > 1 && parts[n - 2].starts_with("n0")) return parts[n - 2] + "_" + parts[n - 1];
  return parts.back();
}

std::string without_digits(std::string name) {
  std::erase_if(name, [](unsigned char c) { return std::isdigit(c) != 0; });
  return name;
}

// bear10-clock2.png: the texture is a clock's.
std::string texture_of(const std::string& key) {
  std::string name = fs::path(key).stem().string();
  const size_t dash = name.rfind('-');
  if (dash == std::string::npos) return "";
  return without_digits(name.substr(dash + 1));
}

/// Where a table's columns are.
struct Columns {
  size_t subject, response, category, condition, image, count;
};

Columns columns_of(const std::vector<std::string>& header, const std::string& place) {
  std::vector<std::string> names(header.size());
  std::transform(header.begin(), header.end(), names.begin(),
                 [](const std::string& name) { return lower(trim(name)); });
  const auto at = [&](const char* wanted) {
    const auto it = std::find(names.begin(), names.end(), wanted);
    if (it == names.end())
      throw DataError(place, " has no column '", wanted, "'; it has ", join(names, ", "));
    return static_cast<size_t>(it - names.begin());
  };
  return {at("subj"),      at("object_response"), at("category"),
          at("condition"), at("imagename"),       names.size()};
}

Observer& observer_of(std::vector<Observer>& observers, const std::string& name) {
  for (Observer& observer : observers)
    if (observer.name == name) return observer;
  observers.push_back({name, lower(name).starts_with("subject"), {}});
  return observers.back();
}

void read_table(const fs::path& path, const std::string& experiment,
                std::vector<Observer>& observers) {
  const std::string text = read_text(path, ExitCode::kData, kLargestTable);
  DelimitedReader reader(without_byte_order_mark(text), ',', path.string());
  const auto header = reader.next();
  if (!header) throw DataError(path.string(), " is empty");
  const Columns columns = columns_of(*header, path.string());
  while (const auto row = reader.next()) {
    if (row->size() != columns.count)
      throw DataError(path.string(), ":", reader.line(), ": ", row->size(), " fields, want ",
                      columns.count);
    const std::string key = key_of(trim(row->at(columns.image)));
    observer_of(observers, trim(row->at(columns.subject)))
        .trials.push_back({key, trim(row->at(columns.response)), trim(row->at(columns.category)),
                           trim(row->at(columns.condition)),
                           experiment == kCueConflict ? texture_of(key) : ""});
  }
}

}  // namespace

Trial trial_of(const std::string& experiment, const std::string& image_name,
               const std::vector<std::string>& categories) {
  constexpr size_t kParts = 7;
  const std::vector<std::string> parts = split(image_name, '_');
  Trial trial{.image = key_of(image_name), .condition = "0"};
  if (parts.size() >= kParts) {
    trial.condition = parts[3];
    trial.category = parts[4];
  } else {
    trial.category = without_digits(image_name.substr(0, image_name.find_first_of("-.")));
  }
  if (std::find(categories.begin(), categories.end(), trial.category) == categories.end())
    throw DataError(image_name, ": '", trial.category, "' is none of ", join(categories, ", "),
                    "; want a name as model-vs-human has them, 0001_edg_dnn_0_oven_00_oven10.png, "
                    "or oven10.png");
  if (experiment != kCueConflict) return trial;
  trial.texture = texture_of(trial.image);
  const bool is_known =
      std::find(categories.begin(), categories.end(), trial.texture) != categories.end();
  if (!is_known)
    throw DataError(image_name, ": the texture '", trial.texture, "' is none of ",
                    join(categories, ", "), "; want a name such as airplane1-bicycle2.png");
  return trial;
}

namespace {

std::string quoted(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
  std::string text = "\"";
  for (const char c : field) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

}  // namespace

std::string trials_csv(const Observer& observer) {
  std::string text = "subj,session,trial,rt,object_response,category,condition,imagename\n";
  int64_t number = 0;
  for (const Trial& trial : observer.trials)
    text += concat(quoted(observer.name), ",1,", ++number, ",NaN,", quoted(trial.response), ",",
                   quoted(trial.category), ",", quoted(trial.condition), ",", quoted(trial.image),
                   "\n");
  return text;
}

bool is_kept_condition(const std::string& experiment, const std::string& condition) {
  return std::none_of(std::begin(kLeftOut), std::end(kLeftOut), [&](const LeftOut& out) {
    return experiment == out.experiment && condition == out.condition;
  });
}

Experiments read_human_trials(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) throw DataError(folder.string(), " is no folder");
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || lower(entry.path().extension().string()) != ".csv") continue;
    if (entry.path().filename().string().find('_') != std::string::npos)
      files.push_back(entry.path());
    else
      log_warn(concat(entry.path().string(), " is passed over: want SET_OBSERVER_session_N.csv"));
  }
  if (files.empty())
    throw DataError(folder.string(),
                    " has no tables called SET_OBSERVER_session_N.csv, as model-vs-human has them");
  std::sort(files.begin(), files.end());
  Experiments experiments;
  for (const fs::path& file : files) {
    const std::string name = file.filename().string(), experiment = name.substr(0, name.find('_'));
    read_table(file, experiment, experiments[experiment]);
  }
  return experiments;
}

}  // namespace vit22b
