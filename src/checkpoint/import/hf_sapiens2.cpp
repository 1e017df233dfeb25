#include "checkpoint/import/families.h"
#include "checkpoint/import/hf.h"

namespace vit22b {
namespace {

constexpr std::string_view kTypes[] = {"sapiens2"};
constexpr std::string_view kPrefixes[] = {"sapiens2.", "model.", "backbone."};
constexpr NameRule kRules[] = {
    {"storage_tokens", "reg_token"},
    {"mask_token", ""},
    {"patch_embed.projection.", "patch_embed.proj."},
    {"blocks.#.ln1.", "blocks.#.norm1."},
    {"blocks.#.ln2.", "blocks.#.norm2."},
    {"blocks.#.attn.wq.", "blocks.#.attn.qkv.", 0, 3},
    {"blocks.#.attn.wk.", "blocks.#.attn.qkv.", 1, 3},
    {"blocks.#.attn.wv.", "blocks.#.attn.qkv.", 2, 3},
    {"blocks.#.attn.gamma.weight", "blocks.#.ls1.gamma"},
    {"blocks.#.ffn.w12.", "blocks.#.mlp.fc1."},
    {"blocks.#.ffn.w3.", "blocks.#.mlp.fc2."},
    {"ln1.", "norm."},
};

}  // namespace

bool is_hf_sapiens2(const ImportFiles& files) {
  return is_hf(files, kTypes);
}

Imported read_hf_sapiens2(const ImportFiles& files, const TensorContainer& weights) {
  Imported model{{}, {weights, kPrefixes, kRules}};
  auto& [info, tensors] = model;
  HfConfig config(files, info);
  tensors.repeat_heads(config.integer("num_attention_heads", 16));
  tensors.make("blocks.#.ls2.gamma", made_ones);  // attention alone is scaled
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  take_hf_model(
      tensors, config,
      {.heads = 16, .eps_key = "rms_norm_eps", .activation = "silu", .image = {1024, 768}}, info);
  c.mlp.act_layer = "silu";
  c.rotary = {.rope = "centre",
              .rope_theta = config.number("rope_theta", 100, "rope_theta"),
              .rope_half = true};
  take_hf_preprocessing(files, kImageNetScale, info);
  return model;
}

}  // namespace vit22b
