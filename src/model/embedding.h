#pragma once
#include <ATen/core/Tensor.h>

#include "model/layers.h"

namespace vit22b {

/// Cuts images into patches, projects them, and adds positions and prefix tokens.
///
/// images_BCHW  float, whole on every rank of a model axis; height and width may differ from the
///              config's: the position table is resampled then
/// returns      [B, prefix + patches, D] in `type`, on a model axis this rank's features:
///              class token, register tokens, patches
/// throws       UsageError for another channel count, or a size that is no multiple of the patch
at::Tensor embed_images(const ViTConfig& config, const Layers& layers,
                        const at::Tensor& images_BCHW, at::ScalarType compute_type,
                        at::ScalarType type);

/// throws  UsageError for images of other channels than the config's, or whole numbers; nothing for
///         words
void check_pixels(const ViTConfig& config, const at::Tensor& images_BCHW);
/// throws  UsageError for images of another height or width than the config's; nothing for words
void check_image_size(const ViTConfig& config, const at::Tensor& images_BCHW);

/// Looks words up and adds positions.
///
/// words_BT  int64, exactly context_length of them
/// returns   [B, T, D] in `type`
at::Tensor embed_words(const ViTConfig& config, const Layers& layers, const at::Tensor& words_BT,
                       at::ScalarType type);

/// What the tower's kind asks for: images, or words.
at::Tensor embed(const ViTConfig& config, const Layers& layers, const at::Tensor& input,
                 at::ScalarType compute_type, at::ScalarType type);

/// Sines and cosines of each patch's column and row, as AIMv2 has them: [height * width, D]
/// float32.
at::Tensor sincos_positions(int64_t grid_height, int64_t grid_width, int64_t width);

/// The position table for another grid, prefix rows kept.
///
/// table_1TD  [1, position_rows, D] of `config`
/// returns    [1, prefix rows + height * width, D]
at::Tensor positions_for_grid(const ViTConfig& config, const at::Tensor& table_1TD,
                              int64_t grid_height, int64_t grid_width);

}  // namespace vit22b
