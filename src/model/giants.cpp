#include "model/giants.h"

#include "core/text.h"

namespace vit22b {
namespace {

struct Giant {
  const char* name;
  const char* keys;  ///< of the model, beside those of a classic ViT
};

// Of EVA-CLIP and CLIP the projection to texts belongs to the tower; PE's is a classifier to timm.
constexpr Giant kGiants[] = {
    {"dinov2_g",
     "embed_dim=1536 depth=40 num_heads=24 patch_size=14 img_size=518 mlp_hidden=4096 swiglu=true "
     "act_layer=silu init_values=1 posemb_resize=bicubic"},
    {"siglip2_giant",
     "embed_dim=1536 depth=40 num_heads=16 patch_size=16 img_size=384 mlp_hidden=6144 "
     "act_layer=gelu_tanh class_token=false global_pool=map posemb_resize=bicubic"},
    {"clip_bigg",
     "embed_dim=1664 depth=48 num_heads=16 patch_size=14 mlp_hidden=8192 norm_eps=1e-5 "
     "pre_norm=true joint_dim=1280 posemb_resize=bicubic"},
    {"pe_core_g",
     "embed_dim=1536 depth=50 num_heads=16 patch_size=14 img_size=448 mlp_hidden=8960 "
     "norm_eps=1e-5 pre_norm=true class_token=false rope=index rope_xy=true rope_ref=32 "
     "global_pool=map pool_include_prefix=true pool_heads=8 pool_mlp_ratio=4 pool_act=gelu "
     "num_classes=1280"},
    {"aimv2_3b",
     "embed_dim=3072 depth=24 num_heads=24 patch_size=14 mlp_hidden=8192 swiglu=true "
     "act_layer=silu norm_layer=rmsnorm norm_eps=1e-5 qkv_bias=false proj_bias=false "
     "embed_norm=true class_token=false global_pool=avg posemb_resize=bicubic pool_mlp=false"},
    {"internvit_6b",
     "embed_dim=3200 depth=45 num_heads=25 patch_size=14 img_size=448 mlp_hidden=12800 "
     "norm_layer=rmsnorm qkv_bias=false qk_norm=true qk_norm_width=true init_values=0.1 "
     "final_norm=false posemb_resize=bicubic"},
    {"dinov3_7b",
     "embed_dim=4096 depth=40 num_heads=32 patch_size=16 mlp_hidden=8192 swiglu=true "
     "act_layer=silu norm_eps=1e-5 qkv_bias=false reg_tokens=4 pos_embed=none init_values=1 "
     "rope=centre rope_theta=100 rope_half=true"},
    {"eva_clip_8b",
     "embed_dim=4096 depth=32 num_heads=32 patch_size=14 mlp_hidden=20480 norm_layer=rmsnorm "
     "qkv_bias=false joint_dim=1280 posemb_resize=bicubic"},
    {"eva_clip_18b",
     "embed_dim=5120 depth=48 num_heads=40 patch_size=14 mlp_hidden=25600 norm_layer=rmsnorm "
     "qkv_bias=false post_norm=true joint_dim=1536 posemb_resize=bicubic"},
};

}  // namespace

std::vector<std::string> giant_names() {
  std::vector<std::string> names;
  names.reserve(std::size(kGiants));
  for (const Giant& giant : kGiants) names.emplace_back(giant.name);
  return names;
}

std::optional<ViTConfig> giant(const std::string& name) {
  for (const Giant& giant : kGiants) {
    if (name != giant.name) continue;
    ConfigTree tree;
    for (const std::string& key : split(giant.keys, ' ')) set_override(tree, key);
    ViTConfig config = preset("b16", "serial");
    config.name = name;
    config.num_classes = 0;
    config.head_bias_init = 0;  // projections have none
    apply_config(tree, [&](FieldVisitor& v) { config.fields(v); });
    return config;
  }
  return std::nullopt;
}

}  // namespace vit22b
