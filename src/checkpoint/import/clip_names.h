#pragma once
#include <array>

#include "checkpoint/import/renamed.h"

namespace vit22b {

/// The names of OpenAI's CLIP, which open_clip and Perception Encoder have too, without "visual.".
constexpr NameRule kClipRules[] = {
    {"class_embedding", "cls_token"},
    {"conv1.", "patch_embed.proj."},
    {"positional_embedding", "pos_embed"},
    {"ln_pre.", "norm_pre."},
    {"ln_post.", "norm."},
    {"transformer.resblocks.#.ln_1.", "blocks.#.norm1."},
    {"transformer.resblocks.#.ln_2.", "blocks.#.norm2."},
    {"transformer.resblocks.#.attn.in_proj_", "blocks.#.attn.qkv."},
    {"transformer.resblocks.#.attn.out_proj.", "blocks.#.attn.proj."},
    {"transformer.resblocks.#.ls_1.gamma", "blocks.#.ls1.gamma"},
    {"transformer.resblocks.#.ls_2.gamma", "blocks.#.ls2.gamma"},
    {"transformer.resblocks.#.mlp.c_fc.", "blocks.#.mlp.fc1."},
    {"transformer.resblocks.#.mlp.c_proj.", "blocks.#.mlp.fc2."},
    {"proj", "head.weight", 0, 1, Change::kTransposed},
    {"attn_pool.probe", "attn_pool.latent"},
    {"attn_pool.attn.in_proj_", "attn_pool.", 0, 1, Change::kQueryAndRest},
    {"attn_pool.attn.out_proj.", "attn_pool.proj."},
    {"attn_pool.layernorm.", "attn_pool.norm."},
    {"attn_pool.mlp.c_fc.", "attn_pool.mlp.fc1."},
    {"attn_pool.mlp.c_proj.", "attn_pool.mlp.fc2."},
};

/// What the text tower's names begin with, and what belongs to both.
constexpr std::string_view kClipText[] = {
    "transformer.",   "token_embedding.", "positional_embedding",
    "ln_final.",      "text_projection",  "text.",
    "logit_scale",    "logit_bias",       "input_resolution",
    "context_length", "vocab_size",       "attn_mask"};

}  // namespace vit22b
