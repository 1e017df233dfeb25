#include "checkpoint/import/timm_args.h"

#include "checkpoint/import/timm_arguments.h"
#include "core/letter_case.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

/// An argument that the blocks here have no choice for: what timm takes without it is what they do.
struct FixedArgument {
  const char* name;
  const char* only;  ///< as JSON text
  const char* is;    ///< what another value asks for
};
constexpr FixedArgument kFixed[] = {
    {"embed_layer", "null", "another patch embedding"},
    {"attn_layer", "null", "another attention"},
    {"use_naflex", "false", "patches of pictures of any shape"},
    {"features_only", "false", "feature maps instead of a classifier"},
};

/// The hidden units of the gated MLPs, by timm's rules.
void take_mlp(TimmArguments& args, ViTConfig& c) {
  const Json layer = args.taken("mlp_layer");
  if (layer.is_null()) return;
  const auto units = static_cast<int64_t>(c.mlp.mlp_ratio * static_cast<double>(c.embed_dim));
  c.mlp.swiglu = true;
  c.pool.pool_mlp_ratio = c.mlp.mlp_ratio;
  if (layer == "GluMlp")  // SwiGLUPacked: both halves from one layer
    c.mlp.mlp_hidden = units / 2;
  else if (layer == "SwiGLU")
    c.mlp.mlp_hidden = units;
  else
    args.refuse("mlp_layer=" + layer.dump() + " (another MLP)");
}

void take_block(TimmArguments& args, ViTConfig& c) {
  const Json block = args.taken("block_fn");
  if (block == "ParallelScalingBlock") c.block = "parallel";
  if (!block.is_null() && block != "Block" && block != "ParallelScalingBlock")
    args.refuse("block_fn=" + (block.is_string() ? block.get<std::string>() : block.dump()) +
                " (another arrangement of the block)");
  args.take("qkv_bias", c.attention.qkv_bias);
  args.take("qk_norm", c.attention.qk_norm);
  args.take("proj_bias", c.attention.proj_bias);
  args.take("init_values", c.init_values);
  args.take("pre_norm", c.norm.pre_norm);
  args.take("scale_attn_norm", c.norm.attn_norm);
  args.take("scale_mlp_norm", c.norm.mlp_norm);
  args.take("act_layer", c.mlp.act_layer);
  c.mlp.act_layer = c.mlp.act_layer.empty() ? "gelu" : ascii_lower_case(c.mlp.act_layer);
  args.want_word("act_layer", c.mlp.act_layer, {"gelu", "gelu_tanh", "quick_gelu", "silu"});
  take_mlp(args, c);
}

void take_tokens(TimmArguments& args, ViTConfig& c) {
  args.take("class_token", c.tokens.class_token);
  args.take("reg_tokens", c.tokens.reg_tokens);
  args.take("no_embed_class", c.tokens.no_embed_class);
  args.take("pos_embed", c.tokens.pos_embed);
  if (c.tokens.pos_embed.empty()) c.tokens.pos_embed = "none";
  args.want_word("pos_embed", c.tokens.pos_embed, {"learn", "none"});
  // A norm of the kind that the blocks have.
  if (const Json norm = args.taken("embed_norm_layer"); !norm.is_null()) c.norm.embed_norm = true;
}

/// The norm is after the pool where fc_norm says so, or for means where it says nothing.
void take_pool(TimmArguments& args, ViTConfig& c) {
  args.take("global_pool", c.pool.global_pool);
  args.want_word("global_pool", c.pool.global_pool, {"token", "avg", "map"});
  c.norm.fc_norm = c.pool.global_pool == "avg";
  args.take("fc_norm", c.norm.fc_norm);
  args.take("final_norm", c.norm.final_norm);
  c.norm.fc_norm = c.norm.fc_norm && c.norm.final_norm;
  if (c.norm.fc_norm && c.pool.global_pool != "avg")
    args.refuse("fc_norm=true with global_pool=" + c.pool.global_pool +
                " (a norm after another pool than the mean)");
  args.take("pool_include_prefix", c.pool.pool_include_prefix);
  if (c.pool.global_pool == "token")
    c.pool.pool_include_prefix = false;  // timm takes the first token
}

void take_plain(TimmArguments& args, ViTConfig& c) {
  take_block(args, c);
  take_tokens(args, c);
  take_pool(args, c);
}

}  // namespace

void take_distilled(TimmArguments& args, ViTConfig& c) {
  take_plain(args, c);
  c.tokens.reg_tokens = 1;  // the distillation token
  c.num_classes = 0;        // the logits are the mean of two heads
}

ViTConfig model_of_timm_args(const TimmArgs& given) {
  TimmArguments args(given);
  const Json name = args.taken("class");
  ViTConfig c = preset("b16", "serial");  // the defaults of timm's VisionTransformer
  c.name = given.architecture;
  take_sizes(args, c);
  take_norm(args, c);
  if (name.is_null())
    take_plain(args, c);
  else if (name == "VisionTransformerDistilled")
    take_distilled(args, c);
  else if (name == "Eva")
    take_eva(args, c);
  else
    throw CheckpointError(given.place, ": the architecture '", given.architecture,
                          "' is not supported: it is of timm's class ", name.get<std::string>(),
                          ", of which the blocks here are not");
  for (const FixedArgument& fixed : kFixed)
    if (const Json value = args.taken(fixed.name);
        !value.is_null() && value != Json::parse(fixed.only))
      args.refuse(concat(fixed.name, "=",
                         value.is_string() ? value.get<std::string>() : value.dump(), " (",
                         fixed.is, ")"));
  take_harmless(args);
  args.finish();
  return c;
}

}  // namespace vit22b
