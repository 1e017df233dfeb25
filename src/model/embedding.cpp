#include "model/embedding.h"

#include "core/error.h"
#include "kernels/resize_grid.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

// [B, C, H, W] → [B, patches, C * P * P], in the order of a flattened convolution kernel.
at::Tensor patchify(const at::Tensor& images_BCHW, int64_t patch) {
  const int64_t rows = images_BCHW.size(2) / patch, columns = images_BCHW.size(3) / patch;
  return images_BCHW.slice(2, 0, rows * patch)
      .slice(3, 0, columns * patch)
      .reshape({images_BCHW.size(0), images_BCHW.size(1), rows, patch, columns, patch})
      .permute({0, 2, 4, 1, 3, 5})
      .flatten(3)
      .flatten(1, 2);
}

}  // namespace

at::Tensor positions_for_grid(const ViTConfig& config, const at::Tensor& table_1TD,
                              int64_t grid_height, int64_t grid_width) {
  const int64_t prefix = config.tokens.no_embed_class ? 0 : config.num_prefix_tokens();
  const at::Tensor table = table_1TD[0];
  const at::Tensor patches =
      resize_position_table(table.slice(0, prefix), {config.grid_height(), config.grid_width()},
                            {grid_height, grid_width}, config.tokens.posemb_resize);
  return at::cat({table.slice(0, 0, prefix), patches}).unsqueeze(0);
}

at::Tensor sincos_positions(int64_t grid_height, int64_t grid_width, int64_t width) {
  const int64_t count = width / 4;
  const at::Tensor frequencies = at::pow(10'000.0, at::arange(count, at::kDouble) / -count);
  const auto angles = [&](int64_t side) {
    return at::arange(side, at::kDouble).unsqueeze(1) * frequencies;
  };
  const std::vector<int64_t> shape = {grid_height, grid_width, count};
  const at::Tensor y = angles(grid_height).unsqueeze(1).expand(shape),
                   x = angles(grid_width).unsqueeze(0).expand(shape);
  return at::cat({x.sin(), x.cos(), y.sin(), y.cos()}, -1).flatten(0, 1).to(at::kFloat);
}

namespace {

// What is added to the tokens of images of a size, this rank's features; undefined for nothing.
at::Tensor positions_of(const ViTConfig& config, const Layers& layers, const ViTConfig& actual,
                        const at::TensorOptions& options) {
  if (config.tokens.pos_embed == "none") return {};
  if (config.has_position_table())
    return positions_for_grid(config, layers.weight("pos_embed"), actual.grid_height(),
                              actual.grid_width())
        .to(options);
  const Share own = layers.own_share(config.embed_dim);
  return sincos_positions(actual.grid_height(), actual.grid_width(), config.embed_dim)
      .narrow(1, own.first, own.count)
      .unsqueeze(0)
      .to(options);
}

}  // namespace

at::Tensor embed_images(const ViTConfig& config, const Layers& layers,
                        const at::Tensor& images_BCHW, at::ScalarType compute_type,
                        at::ScalarType type) {
  check_shape("Embedding", "images", images_BCHW, {{"B"}, {"C", config.in_chans}, {"H"}, {"W"}});
  ViTConfig actual = config;
  actual.img_size = {images_BCHW.size(2), images_BCHW.size(3)};
  actual.validate();
  at::Tensor x = layers
                     .rows_of_whole(layers.weight("patch_embed.proj.weight").flatten(1),
                                    layers.weight("patch_embed.proj.bias"),
                                    patchify(images_BCHW.to(compute_type), config.patch_size))
                     .to(type);
  if (config.norm.embed_norm) x = layers.norm("patch_embed.norm", x);
  const at::Tensor positions = positions_of(config, layers, actual, x.options().dtype(type));
  const bool has_all = config.has_position_table() && !config.tokens.no_embed_class;
  std::vector<at::Tensor> parts;
  for (const char* name : {"cls_token", "reg_token"})
    if (const at::Tensor token = layers.find(name); token.defined())
      parts.push_back(token.to(type).expand({x.size(0), -1, -1}));
  if (!has_all && positions.defined()) x = x + positions;
  parts.push_back(x);
  if (parts.size() > 1) x = at::cat(parts, 1);
  if (has_all) x = x + positions;
  return config.norm.pre_norm ? layers.norm("norm_pre", x) : x;
}

void check_pixels(const ViTConfig& config, const at::Tensor& images_BCHW) {
  if (config.reads_words() || images_BCHW.dim() != 4) return;
  if (images_BCHW.size(1) != config.in_chans)
    throw UsageError("images have ", images_BCHW.size(1),
                     images_BCHW.size(1) == 1 ? " channel" : " channels",
                     " after their transform, the model sees ", config.in_chans, "; write ",
                     config.in_chans == 1 ? "gray" : "rgb", " in it");
  if (!images_BCHW.is_floating_point())
    throw UsageError(
        "images are bytes from 0 to 255 after their transform, which no model is trained on; end "
        "it "
        "with value_range(-1,1) or normalize(...), as the model was trained");
}

void check_image_size(const ViTConfig& config, const at::Tensor& images_BCHW) {
  if (config.reads_words() || images_BCHW.dim() != 4) return;
  const auto [height, width] = config.img_size;
  if (images_BCHW.size(2) != height || images_BCHW.size(3) != width)
    throw UsageError("images are ", images_BCHW.size(2), " x ", images_BCHW.size(3),
                     " pixels after their transform, the model's are ", height, " x ", width,
                     "; end the transform in that size, or ask for another one (data.any_size=true "
                     "in training, --img-size elsewhere)");
}

at::Tensor embed_words(const ViTConfig& config, const Layers& layers, const at::Tensor& words_BT,
                       at::ScalarType type) {
  check_shape("Embedding", "words", words_BT, {{"B"}, {"T"}});
  const int64_t length = words_BT.size(1);
  if (length > config.text.context_length)
    throw UsageError("Embedding: texts of ", length, " words, want at most ",
                     config.text.context_length);
  const at::Tensor x = at::embedding(layers.weight("token_embedding.weight"), words_BT);
  return (x + layers.weight("pos_embed").slice(1, 0, length)).to(type);
}

at::Tensor embed(const ViTConfig& config, const Layers& layers, const at::Tensor& input,
                 at::ScalarType compute_type, at::ScalarType type) {
  return config.reads_words() ? embed_words(config, layers, input, type)
                              : embed_images(config, layers, input, compute_type, type);
}

}  // namespace vit22b
