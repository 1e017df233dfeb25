#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "data/loader.h"
#include "eval/provenance.h"
#include "metrics/examples.h"
#include "metrics/interval.h"
#include "metrics/metric.h"

namespace vit22b {

/// A word, a number, or a count of a result.
using Cell = std::variant<bool, int64_t, double, std::string>;
using NamedCells = std::vector<std::pair<std::string, Cell>>;

/// One number that an evaluation found.
struct ResultNumber {
  Metric metric;     ///< its name, unit and direction
  double value = 0;  ///< NaN where it is undefined
  std::optional<metrics::Interval> interval = std::nullopt;
  bool is_count = false;           ///< a whole number
  std::string label = "";          ///< what it is called in a line for people; "" to leave it out
  bool is_percent = false;         ///< in that line
  std::string interval_name = "";  ///< NAME_interval where empty
};

/// Numbers that belong together.
struct ResultTable {
  enum class Form {
    kList,     ///< one column
    kRecords,  ///< rows with named columns
    kMatrix,   ///< rows and columns alike
  };
  std::string name;
  Form form = Form::kRecords;
  std::vector<std::string> columns;  ///< of records
  std::vector<std::vector<Cell>> rows;
  /// For people: records, and a matrix of few rows, each with its name, are printed under it.
  std::string title = "";
  std::vector<std::string> row_names = {};
};

/// What an evaluator found, in order: what JSON, text, reports, a training's validation and the
/// library show alike. A dot in a name makes a part of a group: "confusion.labels", "accuracy.10".
struct Result {
  std::string evaluator;
  NamedCells settings = {};  ///< how it was asked
  std::vector<ResultNumber> numbers = {};
  Provenance provenance = {};
  std::vector<BadSample> bad_samples = {};
  std::vector<ResultTable> tables = {};
  std::vector<metrics::Example> examples = {};
  bool is_of_samples = true;  ///< has provenance, bad samples and examples, if no more than none
  NamedCells chosen = {};     ///< what a method settled on
  std::vector<Result> folds = {};
  std::vector<ResultNumber> over_folds = {};  ///< such as the spread of the folds' accuracies
  std::string lines = "";                     ///< for people, in place of the numbers' labels

  /// throws  InternalError for a number that is not there
  double number(const std::string& name) const;
};

/// The result as one JSON object: settings and numbers by name, `provenance`, `bad_samples`, tables
/// by name, `examples`, `chosen`, `folds` and the numbers over them. What is undefined is null.
std::string result_json(const Result& result);

/// The numbers in one line, or the result's own lines; small matrices; what was chosen.
std::string result_text(const Result& result);

}  // namespace vit22b
