#include "checkpoint/import/shapes.h"

#include <cmath>
#include <utility>

#include "core/error.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

// The side of a square; 0 for another number.
int64_t square_side(int64_t area) {
  const auto side = std::llround(std::sqrt(static_cast<double>(area)));
  return side * side == area ? side : 0;
}

// Rows of a table [1, N, D] or [N, D].
int64_t position_rows(const RenamedTensors& t) {
  const std::vector<int64_t> shape = t.shape("pos_embed");
  return shape.size() < 2 ? 0 : shape[shape.size() - 2];
}

void take_block(const RenamedTensors& t, ViTConfig& c) {
  const auto has = [&](const char* name) { return t.contains(concat("blocks.0.", name)); };
  const bool has_centred_norm = has("norm1.bias");
  c.norm.norm_layer = has_centred_norm ? "layernorm" : "rmsnorm";
  const int64_t hidden = t.size("blocks.0.mlp.fc2.weight", 1);
  c.mlp.mlp_hidden = hidden;
  c.mlp.swiglu = hidden > 0 && t.size("blocks.0.mlp.fc1.weight", 0) == 2 * hidden;
  c.attention.qkv_bias = has("attn.qkv.bias");
  c.attention.proj_bias = has("attn.proj.bias");
  c.attention.qk_norm = has("attn.q_norm.weight");
  c.attention.qk_norm_width =
      c.attention.qk_norm && t.size("blocks.0.attn.q_norm.weight", 0) == c.embed_dim;
  c.norm.attn_norm = has("attn.norm.weight");
  c.norm.mlp_norm = has("mlp.norm.weight");
  c.init_values = has("ls1.gamma") ? 1 : 0;
}

void take_tokens(const RenamedTensors& t, ViTConfig& c) {
  c.tokens.class_token = t.contains("cls_token");
  c.tokens.reg_tokens = t.size("reg_token", 1);
  c.tokens.pos_embed = t.contains("pos_embed") ? "learn" : "none";
  c.tokens.no_embed_class = c.num_prefix_tokens() > 0 && square_side(position_rows(t)) > 0;
}

// MAP's MLP may have another width than the blocks'.
void take_pool(const RenamedTensors& t, ViTConfig& c) {
  const int64_t hidden = t.size("attn_pool.mlp.fc1.weight", 0);
  c.pool.pool_mlp = hidden > 0;
  if (hidden == 0 || hidden == c.mlp_dim()) return;
  c.pool.pool_mlp_ratio = exact_ratio(hidden, c.embed_dim);
}

}  // namespace

ViTConfig config_of_shapes(const RenamedTensors& t, const std::string& place) {
  ViTConfig c = preset("b16", "serial");
  const std::vector<int64_t> patches = t.shape("patch_embed.proj.weight");
  if (patches.size() != 4 && patches.size() != 2)
    throw CheckpointError(place,
                          ": there are no weights of square patches; want a vision "
                          "transformer of images");
  if (patches[0] < 1 || patches[1] < 1)
    throw CheckpointError(place, ": the weights of patches are ", shape_text(patches),
                          ", want [width, channels, patch, patch]");
  c.embed_dim = patches[0];
  if (patches.size() == 4) {
    c.in_chans = patches[1];
    c.patch_size = patches[3];
    if (patches[2] != patches[3])
      throw CheckpointError(place, ": patches are ", patches[2], "x", patches[3],
                            " pixels; want square ones");
  }
  c.depth = t.depth();
  if (c.depth == 0) throw CheckpointError(place, ": there are no blocks of a vision transformer");
  take_block(t, c);
  take_tokens(t, c);
  c.norm.pre_norm = t.contains("norm_pre.weight");
  c.norm.embed_norm = t.contains("patch_embed.norm.weight");
  c.norm.fc_norm = t.contains("fc_norm.weight");
  c.norm.final_norm = c.norm.fc_norm || t.contains("norm.weight");
  c.pool.global_pool = t.contains("attn_pool.latent")            ? "map"
                       : c.tokens.class_token && !c.norm.fc_norm ? "token"
                                                                 : "avg";
  if (c.pool.global_pool == "map") take_pool(t, c);
  c.num_classes = t.size("head.weight", 0);
  return c;
}

ViTConfig config_of_words(RenamedTensors& t, const std::string& place) {
  ViTConfig c = preset("b16", "serial");
  const std::vector<int64_t> words = t.shape("token_embedding.weight");
  if (words.size() != 2 || words[0] < 1 || words[1] < 1)
    throw CheckpointError(place, " has no text tower: there are no embeddings of words");
  c.text.vocab_size = words[0];
  c.embed_dim = words[1];
  c.text.context_length = position_rows(t);
  c.depth = t.depth();
  if (c.depth == 0) throw CheckpointError(place, ": its text tower has no blocks");
  take_block(t, c);
  c.tokens = {};
  if (!t.contains("norm.weight"))
    throw CheckpointError(place,
                          ": its text tower has no norm behind its blocks; tensors are missing");
  c.pool.global_pool = "last";
  c.num_classes = 0;
  c.text.joint_dim = t.contains("joint.weight") ? t.size("joint.weight", 0) : c.embed_dim;
  t.make("joint.weight", [](const ParameterRow& row) { return at::eye(row.shape[0]); });
  t.make("joint.bias", made_zeros);
  t.make("logit_bias", made_zeros);
  return c;
}

void take_square_image(const RenamedTensors& t, ViTConfig& c) {
  const int64_t rows = position_rows(t) - (c.tokens.no_embed_class ? 0 : c.num_prefix_tokens());
  if (const int64_t side = square_side(rows); side > 0)
    c.img_size = {side * c.patch_size, side * c.patch_size};
}

void take_projection(RenamedTensors& tensors, ViTConfig& c) {
  if (c.num_classes == 0) return;
  c.text.joint_dim = std::exchange(c.num_classes, 0);
  tensors.make("head.bias", made_zeros);
}

void note_origin(ModelInfo& info, const std::string& field, const std::string& from) {
  info.origins[field] = from;
}

at::Tensor made_zeros(const ParameterRow& row) {
  return at::zeros(row.shape);
}

at::Tensor made_ones(const ParameterRow& row) {
  return at::ones(row.shape);
}

}  // namespace vit22b
