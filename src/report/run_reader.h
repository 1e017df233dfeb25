#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "report/record_table.h"

namespace vit22b {

/// A curve: values by step, in the order of the file; undefined values are left out.
struct Series {
  std::vector<double> steps;
  std::vector<double> values;
};

/// One results/NAME.json of an evaluation, with the pictures of results/NAME/.
struct EvalResult {
  std::string name;
  std::string made_from;  ///< the data and the step, for people; empty where the file has none
  std::vector<std::pair<std::string, double>> numbers;
  std::vector<std::string> label_names;
  std::vector<std::vector<int64_t>> confusion;  ///< [truth][prediction]; empty of many classes
  struct Confused {
    int64_t label, prediction, count;
  };
  std::vector<Confused> most_confused;  ///< the most frequent first
  std::vector<int64_t> class_counts;    ///< samples of each class
  struct Bin {
    int64_t count;
    double accuracy, confidence;
  };
  std::vector<Bin> calibration;
  struct Example {
    std::string id;
    int64_t label, prediction;
    double probability;
    std::string image_png, attention_png;  ///< files' bytes; empty where there are none
  };
  std::vector<Example> examples;
  /// A picture whose pixels were named badly, with what was said and the truth drawn over it.
  struct Worst {
    std::string id;
    double miou;
    std::string said_png, truth_png;
  };
  std::vector<Worst> worst;
  std::vector<RecordTable> tables;  ///< all others
};

/// A results file, as JSON.
///
/// throws  DataError for a file that is none
nlohmann::ordered_json read_result_json(const std::filesystem::path& file);

/// What a results file's JSON says, with the pictures that lie beside the file.
///
/// throws  DataError naming a damaged file
EvalResult result_of(const nlohmann::ordered_json& json, const std::filesystem::path& file);

/// What a report is made from: metrics.jsonl, results/ and the resolved config, nothing else.
struct RunData {
  std::string name;
  std::vector<std::pair<std::string, std::string>> settings;
  std::map<std::string, Series> series;                 ///< by metric name
  std::map<std::string, std::vector<Series>> by_block;  ///< attention signals, a series a block
  std::vector<EvalResult> results;
};

/// Reads a run folder; lines of metrics.jsonl that are no JSON (a torn last line) are passed over.
///
/// throws  UsageError when the folder holds no run; DataError naming a damaged results file
RunData read_run(const std::filesystem::path& folder);

}  // namespace vit22b
