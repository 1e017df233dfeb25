#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "eval/labelled_features.h"
#include "model/config.h"
#include "transfer/head_grid.h"
#include "transfer/logistic.h"

namespace vit22b {

/// The penalty that is best on samples held out.
struct PenaltyChoice {
  double c = 1;
  double held_out_accuracy = -1;
};
/// Fits with one C after the other, each from where the last one ended.
using FitWithPenalty =
    std::function<LogisticFit(const LabelledFeatures& train, double c, const LinearHead* start)>;
PenaltyChoice choose_penalty(const LabelledFeatures& samples, const HoldOut& parts,
                             const std::vector<double>& path, const FitWithPenalty& fit);

/// The head of a grid that is best on samples held out.
struct HeadChoice {
  size_t input = 0;
  int64_t rate = 0;
  double held_out_accuracy = -1;
};
HeadChoice choose_head(const std::vector<HeadRow>& rows, const std::vector<HeadInput>& inputs,
                       const at::Tensor& labels_N, const at::Tensor& held_out);

/// DINOv2's inputs of linear heads, each as the features that lie side by side in it: the pooled
/// vector or the last blocks' summaries, each with and without the mean of the patches.
std::vector<std::pair<std::string, std::vector<std::string>>> grid_inputs(const ViTConfig& config);

}  // namespace vit22b
