#include "model/sequence.h"

namespace vit22b {

Sequence sequence_of(const ViTConfig& config, const at::Tensor& input) {
  if (config.reads_words()) return {};
  return {.prefix_tokens = config.num_prefix_tokens(),
          .grid_height = input.size(2) / config.patch_size,
          .grid_width = input.size(3) / config.patch_size};
}

}  // namespace vit22b
