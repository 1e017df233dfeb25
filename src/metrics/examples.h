#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "metrics/answers.h"

namespace vit22b::metrics {

/// A sample with what a classifier took it for.
struct Example {
  int64_t sample = 0;  ///< index in its source
  std::string id;
  int64_t label = 0, prediction = 0;
  double probability = 0;  ///< softmax of the prediction

  bool is_right() const { return label == prediction; }
};

/// A batch's examples, of the answers to its samples.
///
/// indices_B  int64
std::vector<Example> examples_of(std::span<const Answer> answers, const at::Tensor& indices_B,
                                 const std::vector<std::string>& ids);

/// Those worth a look: of the right ones and of the wrong ones at most `count` each, the surest,
/// but one for a pair of label and prediction. Right ones first, surest first, equal ones by
/// sample.
///
/// Of parts that were chosen with the same count, chooses what it would choose of the whole.
std::vector<Example> surest_examples(std::vector<Example> examples, size_t count);

}  // namespace vit22b::metrics
