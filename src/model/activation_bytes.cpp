#include "model/activation_bytes.h"

#include <algorithm>

namespace vit22b {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);

/// The sizes of a pass: bytes of [tokens, width] in each dtype, of this rank's features.
struct Sizes {
  Sizes(const ViTConfig& c, const ActivationWork& w)
      : config(c),
        work(w),
        rows(w.images * c.num_tokens()),
        width(c.embed_dim / w.model_ranks),
        hidden(c.mlp_dim() / w.model_ranks),
        pool_hidden(c.pool.pool_mlp ? c.pool_mlp_dim() / w.model_ranks : 0),
        compute(static_cast<int64_t>(c10::elementSize(w.compute_type))),
        residual(static_cast<int64_t>(c10::elementSize(w.residual_type))),
        factor(static_cast<int64_t>(c10::elementSize(w.factor_type))) {}

  // What SavedBlock keeps.
  int64_t saved() const {
    const int64_t middle = block.is_parallel() ? 0 : width;
    const int64_t num_scales = block.scale2.empty() ? 0 : block.num_branches();
    const int64_t num_branches = block.out_norm1.exists() ? block.num_branches() : num_scales;
    const int64_t activated = block.mlp_norm.exists() ? hidden : 0;
    int64_t bytes =
        rows * residual * (width + middle) +
        rows * compute * (4 * width + hidden_units() + activated + num_branches * width) +
        rows * config.num_heads / work.model_ranks * kFloatBytes;
    if (work.model_ranks > 1)  // SavedNorm: every rank's features, and this rank's centred ones
      bytes += rows * (config.embed_dim * factor + width * kFloatBytes);
    return bytes;
  }
  // Those that a backward pass needs: of a gated MLP the gates too.
  int64_t hidden_units() const { return (block.is_gated() ? 2 : 1) * hidden; }
  int64_t input() const { return rows * width * residual; }
  int64_t output() const { return rows * width * compute; }
  // Beside it while the forward pass is at the block: the normalised input, the MLP's activation
  // and the output.
  int64_t forward_beside() const {
    return rows * (width * factor + hidden * compute + width * residual) + normed();
  }
  // What norms inside of branches give, the larger of those that stand at the same time: queries,
  // keys and values; the hidden units; what was attended.
  int64_t normed() const {
    const int64_t wide = block.has_wide_norms() ? 3 * width : 0;
    const int64_t attended = block.attn_norm.exists() || block.out_norm1.exists() ? width : 0;
    return rows * factor * std::max({wide, attended, block.mlp_norm.exists() ? hidden : 0});
  }
  // The same while a block is computed again: its output only where LayerScale, which may train,
  // wants the branch.
  int64_t again_beside() const {
    return block.scale2.empty() ? rows * (hidden * compute + width * factor) : forward_beside();
  }
  // While the backward pass is there: the output's gradient, also as a factor, and the hidden
  // layer's. In the parallel block those of qkv and of the normalised input stand beside it, where
  // qkv and what was attended lay; they are larger where factors are wider than activations.
  int64_t backward_beside() const {
    const int64_t as_factor = factor == kFloatBytes ? 0 : factor;
    const int64_t wider = block.is_parallel() ? 4 * (factor - compute) : 0;
    return rows * (width * (kFloatBytes + as_factor + wider) + hidden_units() * factor) + normed() +
           (normed() > 0 ? rows * std::max(hidden, width) * kFloatBytes : 0);
  }
  // The output's gradient as it came, where that is not the float32 one.
  int64_t came_in() const { return residual == kFloatBytes ? 0 : rows * width * residual; }
  // The embedding keeps its patches for its weight's gradient.
  int64_t patches() const {
    if (!work.has_graphs) return 0;
    return work.images * config.num_patches() * config.patch_size * config.patch_size *
           config.in_chans * compute;
  }
  // Graphs of final norm and pool in their backward pass; or the norm's input and output, and its
  // float32 values in between.
  int64_t ends() const {
    if (work.is_of_tokens) return rows * width * (residual + compute + kFloatBytes);
    return work.has_own_norms ? own_ends() : composite_ends();
  }

  // The norm's input and output, and the larger of two moments: keys and values, their gradients
  // and their input's; or the norm's gradient as it came, in the input's dtype, in float32 and as
  // it leaves. Then the pooled vectors' own layers.
  int64_t own_ends() const {
    const int64_t at_norm = compute + (residual == compute ? 0 : residual) + kFloatBytes +
                            (residual == kFloatBytes ? 0 : residual);
    const bool is_map = config.pool.global_pool == "map";
    const int64_t at_pool = is_map ? 4 * compute : 0;
    return rows * width * (residual + compute + std::max(at_norm, at_pool)) +
           (is_map ? work.images * (6 * width + 2 * pool_hidden) * compute : 0);
  }

  // Input, normalised values in float32 (RMSNorm's composite keeps them twice), output, keys and
  // values, and the pooled vectors' own layers; then gradients of keys and values and of their
  // input, or those inside the final norm.
  int64_t composite_ends() const {
    const bool is_rms = !block.form.is_centred;
    const int64_t copies = is_rms ? 2 : 1;
    const int64_t in_float =
        residual == kFloatBytes ? (copies - 1) * kFloatBytes : copies * kFloatBytes;
    int64_t bytes = rows * width * (residual + compute + in_float);
    if (config.pool.global_pool == "map")
      bytes += rows * 2 * width * compute + work.images * (6 * width + 2 * pool_hidden) * compute;
    return bytes + rows * width * (compute == kFloatBytes ? 3 : is_rms ? 7 : 5) * compute;
  }

  const ViTConfig& config;
  const ActivationWork& work;
  const BlockSpec block = block_spec(config);
  int64_t rows, width, hidden, pool_hidden, compute, residual, factor;
};

}  // namespace

ActivationBytes training_activation_bytes(const ViTConfig& config, const ActivationWork& work) {
  const Sizes s(config, work);
  const int64_t taped = work.taped_blocks < 0 ? config.depth : work.taped_blocks;
  // Blocks below those keep nothing.
  const int64_t before = taped < config.depth ? inference_activation_bytes(config, work) : 0;
  if (taped == 0) return {.forward = before, .pool_backward = s.ends(), .output = s.output()};
  if (work.policy == ActivationPolicy::kKeep) {
    const int64_t kept = s.patches() + taped * s.saved();
    return {.forward = std::max(before, kept + s.forward_beside()),
            .pool_backward = kept + s.ends(),
            .block_backward = kept + s.came_in() + s.backward_beside(),
            .kept = kept,
            .output = s.output()};
  }
  const int64_t own = s.saved() - s.input();
  const int64_t again = own + s.rows * s.width * kFloatBytes + s.again_beside(),
                back = own + s.came_in() + s.backward_beside();
  if (work.keeps_inputs) {
    const int64_t inputs = s.patches() + taped * s.input();
    return {.forward = std::max(before, inputs + s.forward_beside()),
            .pool_backward = inputs + s.ends(),
            .block_backward = inputs + std::max(again, back),
            .kept = inputs,
            .output = s.output()};
  }
  // The embedding's output stays with its graph. Below the last block the gradient that came in is
  // held by the caller too; where inputs stay, those that are done with make up for it.
  const int64_t below = taped > 1 ? s.input() : 0, embedded = s.patches() + s.input();
  return {.forward = std::max(before, embedded + below + s.forward_beside()),
          .pool_backward = embedded + s.ends(),
          .block_backward =
              embedded + s.input() + std::max(again + below, back + (s.came_in() > 0 ? 0 : below)),
          .kept = embedded,
          .output = s.output(),
          .inputs = taped * s.input()};
}

int64_t inference_activation_bytes(const ViTConfig& config, const ActivationWork& work) {
  const Sizes s(config, work);
  // The embedding's output, the block's input, its normalised form and what was attended; then the
  // projection, or the activation and the output.
  const int64_t residuals = s.block.num_branches();
  return s.rows *
             ((1 + residuals) * s.width * s.residual + s.width * s.compute + s.width * s.factor +
              std::max(3 * s.width * s.compute, s.hidden * s.compute + s.width * s.residual)) +
         s.normed();
}

}  // namespace vit22b
