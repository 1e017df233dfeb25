#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "eval/load_predictor.h"

namespace vit22b {

/// The sixteen categories that people chose from, alphabetically.
std::vector<std::string> human_categories();

/// Which of a model's classes each category is.
struct CategoryMap {
  std::vector<std::string> names;             ///< of the categories
  std::vector<std::vector<int64_t>> classes;  ///< of each category, at least one
  std::string by;                             ///< "ImageNet's classes", or "the model's own names"
};

/// By ImageNet's 207 classes where the model's classes are ImageNet's thousand, else by the model's
/// own classes where they have all the categories' names.
///
/// source  model-vs-human helper/human_categories.py
/// throws  CheckpointError naming a category that the model has not
CategoryMap category_map(const NamedModel& model);

/// For images of one's own: each of a model's classes is a category of its name.
///
/// throws  CheckpointError for classes without names, or with a digit, `_`, `-` or `.`, which end a
///         category in an image's name
CategoryMap own_categories(const NamedModel& model);

/// The category of the largest mean probability over its classes, of equal ones the last.
///
/// probabilities_NC  float64
/// returns           [N] int64
/// source            model-vs-human datasets/decision_mappings.py
at::Tensor decided_categories(const at::Tensor& probabilities_NC, const CategoryMap& map);

}  // namespace vit22b
