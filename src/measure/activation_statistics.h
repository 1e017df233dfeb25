#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "eval/evaluation.h"
#include "eval/load_predictor.h"
#include "metrics/moments.h"
#include "metrics/patch_norms.h"

namespace vit22b {

/// A head whose information of the query is below this share of the largest possible is dead: it
/// gives every token of a picture next to the same.
constexpr double kDeadShare = 0.01;

/// What a block makes of pictures.
struct BlockActivations {
  metrics::Moments values;        ///< of its raw output, all tokens
  metrics::Moments norms;         ///< of its tokens
  metrics::Moments prefix_norms;  ///< of class token and registers
  metrics::PatchNorms patches;
  /// Sums over pictures, by head: entropies of attention, the same as shares of the uniform one's,
  /// and shares of information (HeadAttention).
  at::Tensor entropy_H, entropy_share_H, information_share_H;
  int64_t num_pictures = 0;  ///< of the sums; of an ensemble's block each member's

  /// Adds a batch: q and k [B, H, T, K], output [B, T, D].
  void add(const ObservedBlock& block, int64_t prefix_tokens);
  /// The means over pictures, by head.
  std::vector<double> entropy() const;
  std::vector<double> entropy_share() const;
  /// Numbers of the heads with less than kDeadShare.
  std::vector<int64_t> dead_heads() const;
};

/// What a model's blocks make of pictures.
struct ActivationStatistics {
  std::vector<BlockActivations> blocks;
  int64_t num_images = 0;
  std::vector<BadSample> bad_samples;  ///< left out
};

/// Runs a model over pictures by its own transform, block by block.
///
/// throws  as for_each_batch; NumbersError for tokens that are not finite
ActivationStatistics activation_statistics(LoadedModel& model, const DataSource& source,
                                           const EvalOptions& options);

}  // namespace vit22b
