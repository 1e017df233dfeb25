#include "checkpoint/import/timm_arguments.h"

// timm's class Eva: EVA, EVA02, Perception Encoder, DINOv3, Sapiens2 and ViTs with rotary
// positions.
namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

/// Training alone moves the coordinates; which heads share keys, and how tensors are stored, the
/// weights tell.
constexpr const char* kElsewhere[] = {
    "attn_type",         "qkv_fused",         "num_kv_heads",       "attn_only_layer_scale",
    "swiglu_align_to",   "rope_shift_coords", "rope_jitter_coords", "rope_rescale_coords",
    "rope_mrope_section"};

void take_rotary(TimmArguments& args, RotaryConfig& rotary) {
  bool is_rotary = false;
  args.take("use_rot_pos_emb", is_rotary);
  std::string type = "cat", order = "ij";
  args.take("rope_type", type);
  args.take("rope_grid_indexing", order);
  args.take("rope_temperature", rotary.rope_theta);
  args.take("rope_rotate_half", rotary.rope_half);
  args.take("rope_grid_offset", rotary.rope_offset);
  args.take_size("ref_feat_shape", rotary.rope_ref);
  if (!is_rotary) return;
  args.want_word("rope_type", type, {"cat", "dinov3"});
  rotary.rope = type == "dinov3" ? "centre" : "index";
  rotary.rope_xy = order == "xy";
  if (type != "dinov3") return;
  rotary.rope_xy = false;
  rotary.rope_offset = 0;
  rotary.rope_ref = {0, 0};
}

void take_block(TimmArguments& args, ViTConfig& c) {
  args.take("qkv_bias", c.attention.qkv_bias);
  args.take("qk_norm", c.attention.qk_norm);
  args.take("init_values", c.init_values);
  args.take("swiglu_mlp", c.mlp.swiglu);
  args.take("scale_mlp", c.norm.mlp_norm);
  args.take("scale_attn_inner", c.norm.attn_norm);
  args.take("use_post_norm", c.norm.post_norm);
  c.mlp.act_layer = c.mlp.swiglu ? "silu" : "gelu";
}

void take_tokens(TimmArguments& args, ViTConfig& c) {
  bool has_table = true;
  args.take("use_abs_pos_emb", has_table);
  c.tokens.pos_embed = has_table ? "learn" : "none";
  args.take("class_token", c.tokens.class_token);
  args.take("num_reg_tokens", c.tokens.reg_tokens);
  args.take("no_embed_class", c.tokens.no_embed_class);
}

/// The pool sees prefix tokens too, and ends in an erf GELU whatever the blocks have.
void take_pool(TimmArguments& args, ViTConfig& c) {
  c.pool.global_pool = "avg";
  args.take("global_pool", c.pool.global_pool);
  if (c.pool.global_pool.empty()) c.pool.global_pool = "none";
  args.want_word("global_pool", c.pool.global_pool, {"token", "avg", "map", "none"});
  double ratio = c.mlp.mlp_ratio;
  args.take("attn_pool_num_heads", c.pool.pool_heads);
  args.take("attn_pool_mlp_ratio", ratio);
  c.norm.fc_norm = c.pool.global_pool == "avg";
  args.take("use_fc_norm", c.norm.fc_norm);
  bool is_normed = !c.norm.fc_norm;
  args.take("use_post_transformer_norm", is_normed);
  if (is_normed && c.norm.fc_norm)
    args.refuse("use_fc_norm with use_post_transformer_norm (two norms)");
  if (c.norm.fc_norm && c.pool.global_pool != "avg")
    args.refuse("use_fc_norm with global_pool=" + c.pool.global_pool +
                " (a norm after another pool than the mean)");
  c.norm.final_norm = is_normed || c.norm.fc_norm;
  if (c.pool.global_pool != "map") {
    c.pool.pool_heads = 0;
    return;
  }
  c.pool.pool_include_prefix = true;
  c.pool.pool_act = "gelu";
  c.pool.pool_mlp_ratio = ratio;
}

}  // namespace

void take_eva(TimmArguments& args, ViTConfig& c) {
  take_block(args, c);
  take_tokens(args, c);
  take_rotary(args, c.rotary);
  args.take("use_pre_transformer_norm", c.norm.pre_norm);
  take_pool(args, c);
  for (const char* name : kElsewhere) args.taken(name);
}

}  // namespace vit22b
