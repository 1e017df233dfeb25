#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace vit22b {

/// A class that a model gives an image, and how sure it is.
struct ScoredLabel {
  std::string label;
  int64_t index = 0;
  double probability = 0;
};

/// What `predict` says of one image file: its labels, the best first, or why there are none.
struct Prediction {
  std::string path;
  std::vector<ScoredLabel> labels;
  std::string error = {};
};

/// A line with `path`, and `predictions` or `error`; bytes that are no UTF-8 are replaced.
std::string prediction_json(const Prediction& said);

/// The path, and a line a label; for people.
std::string prediction_text(const Prediction& said);

/// The first line of the table that prediction_csv goes on.
constexpr const char* kPredictionColumns = "path,rank,label,index,probability,error\n";
/// A row a label, or one row with the error; RFC 4180.
std::string prediction_csv(const Prediction& said);

}  // namespace vit22b
