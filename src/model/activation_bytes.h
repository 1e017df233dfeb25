#pragma once
#include <cstdint>

#include "model/context.h"

namespace vit22b {

/// A pass of the fused engine over some images.
struct ActivationWork {
  int64_t images = 1;       ///< of one rank, in one piece of a batch
  int64_t model_ranks = 1;  ///< that share the model's features
  at::ScalarType compute_type = at::kFloat;
  at::ScalarType residual_type = at::kFloat;
  at::ScalarType factor_type = at::kFloat;  ///< of what only products read
  ActivationPolicy policy = ActivationPolicy::kKeep;
  bool keeps_inputs = true;  ///< of recomputed blocks, on the device
  bool has_graphs = true;    ///< units around the encoder keep theirs, as a store allows that keeps
                             ///< its weights
  int64_t taped_blocks = -1;  ///< the last ones, which a backward pass goes through; -1 for all
  bool is_of_tokens = false;  ///< pool and head do not run
  /// The final norm and the pool's are the fused engine's own: on a CPU, without a model axis.
  bool has_own_norms = true;
};

/// Bytes of activations at the moments of a training step that hold the most.
///
/// Of the fused engine: what SavedBlock keeps, and what its passes hold beside. Tests compare it
/// with what the passes allocate. The images themselves are not counted.
struct ActivationBytes {
  int64_t forward = 0;         ///< in the last block
  int64_t pool_backward = 0;   ///< in pool and final norm
  int64_t block_backward = 0;  ///< in the last block
  int64_t kept = 0;            ///< between the passes
  int64_t output = 0;          ///< the tokens, which the passes' caller holds
  int64_t inputs = 0;          ///< of recomputed blocks, where they are kept elsewhere
};
ActivationBytes training_activation_bytes(const ViTConfig& config, const ActivationWork& work);

/// The most that a forward pass without a tape holds at a time.
int64_t inference_activation_bytes(const ViTConfig& config, const ActivationWork& work);

}  // namespace vit22b
