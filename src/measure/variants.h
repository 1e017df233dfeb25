#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "eval/predictions.h"
#include "eval/result.h"
#include "measure/right_answers.h"
#include "metrics/logit_line.h"

namespace vit22b {

/// How many of some samples a model was right about.
struct RightShare {
  int64_t num_right = 0, num_examples = 0;

  double share() const;  ///< NaN of none
};

/// A model's answers to other pictures of its classes (ImageNet-A, -R, -V2, Sketch, ReaL,
/// ObjectNet), beside the pictures that it is tested on.
struct Variant {
  std::string name;          ///< what the user calls it: "a", "v2"
  std::string place;         ///< SRC
  std::string by;            ///< what its answers are known by
  std::string crop;          ///< of its pictures: "model" or "paper"
  int64_t num_classes = 0;   ///< that answers are taken from
  int64_t num_left_out = 0;  ///< pictures without a right answer
  RightShare own;            ///< of its pictures
  /// Of the tested pictures of the same classes, answers from those alone: what its share is to be
  /// compared with.
  RightShare known;
  /// Other models' shares on both, where there are some; else of no points.
  metrics::LogitLine baseline = {};
};

/// A share of samples whose most probable class is among the right ones. Samples without a right
/// answer among the classes do not count.
///
/// right    by the samples' places in their source, predictions.indices_N
/// classes  that answers are taken from, ascending; empty for all
RightShare right_share(const Predictions& predictions, const RightAnswers& right,
                       const std::vector<int64_t>& classes);

/// The line of other models' shares, from timm's results: `results-imagenet-a.csv` and
/// `results-imagenet-a-clean.csv` for "a", likewise "r"; `results-imagenetv2-matched-frequency.csv`
/// for "v2", `results-sketch.csv`, `results-imagenet-real.csv`, and `results-NAME.csv` for others,
/// beside `results-imagenet.csv`. Models are matched by `model` and `img_size`.
///
/// returns  a line of no points, and warns, where the folder has no file of that name
/// throws   DataError for a folder that is not there, a file without the columns `model` and
/// `top1`, or without numbers in it
metrics::LogitLine baseline_of(const std::filesystem::path& folder, const std::string& name);

/// Adds `sets.NAME.…` and `effective_robustness.NAME`, and a table for people.
void add_variants(const std::vector<Variant>& variants, Result& result);

}  // namespace vit22b
