#pragma once
#include <cstdint>

#include "eval/labelled_features.h"
#include "eval/predictions.h"
#include "eval/result.h"

namespace vit22b {

/// What a model said of some samples.
struct OodSamples {
  Predictions predictions;
  at::Tensor features_ND = {};  ///< undefined where nobody knows
};

/// Features of known samples, for scores that are fitted to them.
struct OodFit {
  LabelledFeatures known;
  int64_t num_neighbors = 50;  ///< Sun et al. 2022 for ImageNet's size: 1,000 of 1.3 million
};

/// How well scores tell samples of another kind (out) from those that a model was made for (in):
/// from the logits the largest probability, the entropy, the energy and the largest logit; with
/// features and known ones, Mahalanobis distance, relative too, and the distance of the k-th
/// neighbour. Each score is larger for what is stranger.
///
/// For each `auroc`; `auprc` and `fpr95` with the strange samples as the positive ones (Plex), and
/// `auprc_in`, `fpr95_in` with the known ones (Hendrycks and Gimpel 2017).
///
/// fit     null for the logits' scores alone
/// source  Hendrycks and Gimpel 2017 (MSP), Liu et al. 2020 (energy, T = 1), Hendrycks et al. 2022
///         (max logit), Lee et al. 2018, Ren et al. 2021, Sun et al. 2022
/// throws  DataError for features of different widths, or fewer known samples than neighbours;
///         NumbersError for logits that are not finite
Result measure_ood(const OodSamples& in, const OodSamples& out, const OodFit* fit);

}  // namespace vit22b
