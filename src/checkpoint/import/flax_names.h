#pragma once
#include <array>
#include <string_view>
#include <utility>

// What Flax's modules of a vision transformer are named in .npz files, beside the parameters that
// they are: read by the importer, written by the exporter.
namespace vit22b::flax {

/// A module of a block, by vit_jax's number and big_vision's.
struct Module {
  std::string_view jax, big_vision, ours;
};
constexpr Module kModules[] = {
    {"LayerNorm_0", "LayerNorm_0", "norm1"},
    {"MultiHeadDotProductAttention_1", "MultiHeadDotProductAttention_0", "attn"},
    {"LayerNorm_2", "LayerNorm_1", "norm2"},
    {"MlpBlock_3", "MlpBlock_0", "mlp"},
};

/// A leaf of a module, "query/kernel", as ours, and which part of it.
struct Leaf {
  std::string_view theirs, ours;
  int part = 0, parts = 1;
};
constexpr Leaf kAttention[] = {
    {"query/", "qkv.", 0, 3}, {"key/", "qkv.", 1, 3}, {"value/", "qkv.", 2, 3}, {"out/", "proj."}};
constexpr Leaf kMlp[] = {{"Dense_0/", "fc1."}, {"Dense_1/", "fc2."}};
constexpr Leaf kPoolAttention[] = {
    {"query/", "q."}, {"key/", "kv.", 0, 2}, {"value/", "kv.", 1, 2}, {"out/", "proj."}};
/// Of the MAP head.
constexpr std::string_view kPool = "MAPHead_0/", kProbe = "probe";

constexpr std::string_view kBlock = "Transformer/encoderblock_";
/// One array holds a layer of all blocks.
constexpr std::string_view kStacked = "Transformer/encoderblock/";

/// Of what stands around the blocks; big_vision's name of a parameter first.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kOutside = {
    {{"embedding/kernel", "patch_embed.proj.weight"},
     {"embedding/bias", "patch_embed.proj.bias"},
     {"cls", "cls_token"},
     {"pos_embedding", "pos_embed"},
     {"Transformer/posembed_input/pos_embedding", "pos_embed"},
     {"Transformer/encoder_norm/scale", "norm.weight"},
     {"Transformer/encoder_norm/bias", "norm.bias"},
     {"head/kernel", "head.weight"},
     {"head/bias", "head.bias"}}};

/// The same of a text tower.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kOutsideText = {
    {{"Embed_0/embedding", "token_embedding.weight"},
     {"pos_embedding", "pos_embed"},
     {"Transformer/encoder_norm/scale", "norm.weight"},
     {"Transformer/encoder_norm/bias", "norm.bias"},
     {"head/kernel", "joint.weight"},
     {"head/bias", "joint.bias"}}};

}  // namespace vit22b::flax
