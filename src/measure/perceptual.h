#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "eval/evaluation.h"
#include "eval/load_predictor.h"
#include "eval/result.h"

namespace vit22b {

/// Triplets of patches and how people judged them (BAPPS, Zhang et al. 2018): which of two spoilt
/// patches is nearer to the reference.
struct TwoChoices {
  std::string name;                                   ///< the folder's: "traditional", "cnn", …
  std::vector<std::string> reference, first, second;  ///< files
  std::vector<double> second_preferred;  ///< share of people who took the second, 0 to 1
};

/// Reads folders with `ref/`, `p0/`, `p1/` and `judge/` (NAME.npy of one number) wherever they lie
/// below a folder.
///
/// throws  DataError where there is none, naming a file without its three others, or a judgement
///         that is no share
std::vector<TwoChoices> read_two_choices(const std::filesystem::path& folder);

/// The distance of patches in a model's eyes, [B] float64: differences of patch tokens of length 1,
/// squared, their mean over the places, summed over these blocks' outputs.
///
/// source  Zhang et al. 2018 (LPIPS without learned weights); Kumar et al. 2022
at::Tensor perceptual_distance(const BlockTensors& first, const BlockTensors& second,
                               int64_t prefix_tokens);

/// Of each triplet the share of people who took the patch that is nearer to a model, one half where
/// both are as near: [N] float64, whose mean is the score.
at::Tensor people_who_agree(const at::Tensor& first_N, const at::Tensor& second_N,
                            const std::vector<double>& second_preferred);

/// The score of each set with a bootstrapped interval, and their mean; beside what people reach
/// among themselves, the share of a triplet's majority.
///
/// throws  as for_each_batch; no picture may be missing
Result measure_perceptual(LoadedModel& model, const std::vector<TwoChoices>& sets,
                          const EvalOptions& options, uint64_t seed);

}  // namespace vit22b
