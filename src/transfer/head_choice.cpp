#include "transfer/head_choice.h"

#include <ATen/ATen.h>

#include <optional>

#include "core/error.h"

namespace vit22b {
namespace {

double accuracy_of(const at::Tensor& scores_NC, const at::Tensor& labels_N) {
  return scores_NC.argmax(1).eq(labels_N).to(at::kDouble).mean().item<double>();
}

}  // namespace

PenaltyChoice choose_penalty(const LabelledFeatures& samples, const HoldOut& parts,
                             const std::vector<double>& path, const FitWithPenalty& fit) {
  const LabelledFeatures train = samples.subset(parts.kept), held = samples.subset(parts.held_out);
  std::optional<LogisticFit> last;
  PenaltyChoice best;
  for (const double c : path) {
    last = fit(train, c, last ? &last->head : nullptr);
    const double accuracy = accuracy_of(last->head.scores(held.features_ND), held.labels_N);
    if (accuracy > best.held_out_accuracy) best.c = c;
    best.held_out_accuracy = std::max(best.held_out_accuracy, accuracy);
  }
  return best;
}

HeadChoice choose_head(const std::vector<HeadRow>& rows, const std::vector<HeadInput>& inputs,
                       const at::Tensor& labels_N, const at::Tensor& held_out) {
  HeadChoice best;
  const at::Tensor labels = labels_N.index_select(0, held_out);
  for (size_t i = 0; i < rows.size(); ++i) {
    const at::Tensor right_NH =
        rows[i].scores(inputs[i].rows(held_out)).argmax(2).eq(labels.unsqueeze(1));
    const at::Tensor accuracy_H = right_NH.to(at::kDouble).mean(0);
    for (int64_t h = 0; h < rows[i].num_heads(); ++h)
      if (accuracy_H[h].item<double>() > best.held_out_accuracy)
        best = {i, h, accuracy_H[h].item<double>()};
  }
  return best;
}

std::vector<std::pair<std::string, std::vector<std::string>>> grid_inputs(const ViTConfig& config) {
  constexpr int64_t kLastBlocks = 4;
  std::vector<std::string> last;
  for (int64_t i = std::max<int64_t>(0, config.depth - kLastBlocks); i < config.depth; ++i)
    last.push_back(concat("block.", i));
  std::vector<std::string> last_and_mean = last;
  last_and_mean.emplace_back("mean");
  return {{"pooled", {"pooled"}},
          {"pooled+mean", {"pooled", "mean"}},
          {concat("last", last.size()), last},
          {concat("last", last.size(), "+mean"), last_and_mean}};
}

}  // namespace vit22b
