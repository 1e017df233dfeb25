#include "checkpoint/export/onnx/vit.h"

#include "core/error.h"
#include "kernels/activation.h"

namespace vit22b {
namespace {

/// Prefix tokens of every image, [B, P, D]: the class token and the registers, with their own rows
/// of the position table where it has such.
OnnxValue prefix_tokens(const OnnxLayers& l, const ViTConfig& c, const OnnxValue& x_BTD) {
  const OnnxOps& ops = l.ops();
  std::vector<OnnxValue> parts;
  for (const char* name : {"cls_token", "reg_token"})
    if (l.has(name)) parts.push_back(l.weight(name));
  OnnxValue prefix = ops.concat(parts, 1);
  if (c.has_position_table() && !c.tokens.no_embed_class)
    prefix = ops.add(
        prefix,
        l.weights().elements("pos_embed", 0, {1, c.num_prefix_tokens(), c.embed_dim}, ".prefix"));
  return ops.expand(prefix, {ops.size(x_BTD, 0), ops.numbers({1, 1})});
}

/// One query over every image's tokens: [B, D].
OnnxValue query_pool(const OnnxLayers& l, const ViTConfig& c, const OnnxValue& tokens_BTD) {
  const OnnxOps& ops = l.ops();
  const int64_t heads = c.pool_heads(), head_size = c.embed_dim / heads;
  const auto split = [&](const OnnxValue& x) { return onnx_split_heads(ops, x, heads, head_size); };
  const OnnxValue query = l.linear("attn_pool.q", l.weight("attn_pool.latent"));
  const std::vector<OnnxValue> parts =
      ops.split(l.linear("attn_pool.kv", tokens_BTD), {c.embed_dim, c.embed_dim}, -1);
  const OnnxValue attended =
      onnx_attention(ops, split(query), split(parts[0]), split(parts[1]), head_size);
  return ops.select(onnx_merge_heads(ops, attended, c.embed_dim), 1, 0);
}

OnnxValue map_pool(const OnnxLayers& l, const ViTConfig& c, const OnnxValue& tokens_BTD) {
  OnnxValue pooled = l.linear("attn_pool.proj", query_pool(l, c, tokens_BTD));
  if (!c.pool.pool_mlp) return pooled;
  const Activation activation =
      parse_activation(c.pool.pool_act == "same" ? c.mlp.act_layer : c.pool.pool_act);
  return l.ops().add(pooled, l.mlp("attn_pool.mlp.", l.norm("attn_pool.norm", pooled), activation));
}

}  // namespace

OnnxValue onnx_embedding(const OnnxLayers& l, const ViTConfig& c, const OnnxValue& images_BCHW,
                         const OnnxGrid& grid) {
  const OnnxOps& ops = l.ops();
  const OnnxValue maps = ops.graph().add(
      "Conv", {images_BCHW, l.weight("patch_embed.proj.weight"), l.weight("patch_embed.proj.bias")},
      {{"strides", std::vector<int64_t>{c.patch_size, c.patch_size}}});
  // A grid that is not the convolution's is images of other sizes than multiples of the patch: here
  // runs on such fail. Both sides are named, for of a single one runtimes take what is there.
  const OnnxValue whole =
      c.tokens.drop_edge
          ? maps
          : ops.of("Reshape", maps, ops.concat({ops.numbers({0, 0}), grid.height, grid.width}, 0));
  OnnxValue x = ops.reshape(ops.transpose(whole, {0, 2, 3, 1}), {0, -1, c.embed_dim});
  if (c.norm.embed_norm) x = l.norm("patch_embed.norm", x);
  if (c.has_position_table()) x = ops.add(x, onnx_positions(ops, l.weights(), c, grid));
  if (c.tokens.pos_embed == "sincos") x = ops.add(x, onnx_sincos(ops, grid, c.embed_dim));
  if (c.num_prefix_tokens() > 0) x = ops.concat({prefix_tokens(l, c, x), x}, 1);
  return c.norm.pre_norm ? l.norm("norm_pre", x) : x;
}

OnnxValue onnx_pool(const OnnxLayers& l, const ViTConfig& c, const OnnxValue& tokens_BTD) {
  const OnnxOps& ops = l.ops();
  const std::string& kind = c.pool.global_pool;
  if (kind == "token") return ops.select(tokens_BTD, 1, 0);
  const int64_t first = c.pool.pool_include_prefix ? 0 : c.num_prefix_tokens();
  const OnnxValue seen = first == 0 ? tokens_BTD : ops.slice(tokens_BTD, 1, first);
  if (kind == "map") return map_pool(l, c, seen);
  const OnnxValue mean = ops.mean(seen, 1, /*keeps_dim=*/false);
  if (kind == "cls_avg") return ops.concat({ops.select(tokens_BTD, 1, 0), mean}, 1);
  VIT22B_CHECK(kind == "avg", "ONNX: no pool '", kind, "'");
  return c.norm.fc_norm ? l.norm("fc_norm", mean) : mean;
}

OnnxOutputs onnx_vit(const OnnxOps& ops, OnnxWeights& weights, const ViTConfig& c,
                     const OnnxValue& images_BCHW, const std::set<int64_t>& taps) {
  const auto unit = [&](const std::string& scope, const std::string& prefix = "") {
    ops.graph().enter(scope);
    return OnnxLayers(ops, weights, prefix, norm_form(c));
  };
  const OnnxLayers embedding = unit("embedding");
  OnnxOutputs outputs{onnx_grid(ops, c, images_BCHW)};
  OnnxValue x = onnx_embedding(embedding, c, images_BCHW, outputs.grid);
  const OnnxRotary rotary = onnx_rotary(ops, c, outputs.grid);
  const BlockSpec block = block_spec(c);
  for (int64_t i = 0; i < c.depth; ++i) {
    const std::string name = concat("blocks.", i);
    x = onnx_block(unit(name, name + "."), block, x, rotary);
    if (taps.count(i) != 0) outputs.blocks[i] = x;
  }
  const OnnxLayers rest = unit("head");
  outputs.tokens_BTD = c.has_final_norm() ? rest.norm("norm", x) : x;
  if (c.has_pool()) outputs.pooled_BD = onnx_pool(rest, c, outputs.tokens_BTD);
  if (c.has_head()) outputs.logits_BC = rest.linear("head", outputs.pooled_BD);
  return outputs;
}

}  // namespace vit22b
