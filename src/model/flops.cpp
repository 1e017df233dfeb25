#include "model/flops.h"

#include "model/block_spec.h"

namespace vit22b {

double forward_flops(const ViTConfig& c) {
  const BlockSpec block = block_spec(c);
  const auto tokens = static_cast<double>(c.num_tokens()), width = static_cast<double>(c.embed_dim);
  double products = 0;
  for (const LinearSpec* linear : block.layers())
    products += static_cast<double>(linear->out) * static_cast<double>(linear->in);
  const double patch = static_cast<double>(c.patch_size * c.patch_size * c.in_chans);
  const double patches = c.reads_words() ? 0 : static_cast<double>(c.num_patches());
  // Members go through an ensemble's blocks one by one.
  const auto passes =
      static_cast<double>(c.depth + (c.plex.members() - 1) * c.plex.batch_ensemble_blocks);
  return 2 * patch * width * patches +
         passes * (2 * products * tokens + 4 * tokens * tokens * width);
}

double train_flops(const ViTConfig& config, const BackwardShare& share) {
  return forward_flops(config) * (1 + share.inputs + share.weights);
}

}  // namespace vit22b
