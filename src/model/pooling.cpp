#include "model/pooling.h"

#include "kernels/attention.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

at::Tensor map_query(const Layers& l, const at::Tensor& tokens_BTD) {
  const at::Tensor latent = l.weight("attn_pool.latent")
                                .to(tokens_BTD.scalar_type())
                                .expand({tokens_BTD.size(0), -1, -1});
  return split_heads(l.rows("attn_pool.q", latent), l.num_heads());
}

at::Tensor map_pool(const Layers& l, const at::Tensor& tokens_BTD) {
  const int64_t heads = l.num_heads();
  const at::Tensor query = map_query(l, tokens_BTD);
  const auto keys_values = l.rows("attn_pool.kv", tokens_BTD).chunk(2, -1);
  const at::Tensor attended =
      attention(query, split_heads(keys_values[0], heads), split_heads(keys_values[1], heads));
  const at::Tensor pooled = l.columns("attn_pool.proj", merge_heads(attended));
  return (pooled + l.mlp("attn_pool.mlp.", l.norm("attn_pool.norm", pooled))).select(1, 0);
}

}  // namespace

at::Tensor map_attention(const Layers& layers, const at::Tensor& tokens_BTD) {
  const at::Tensor patches = tokens_BTD.slice(1, layers.config().num_prefix_tokens());
  const at::Tensor keys = layers.rows("attn_pool.kv", patches).chunk(2, -1)[0];
  return attention_weights(map_query(layers, patches), split_heads(keys, layers.num_heads()))
      .select(2, 0);
}

at::Tensor pool_tokens(const Layers& layers, const at::Tensor& tokens_BTD) {
  const ViTConfig& config = layers.config();
  check_shape("Pooling", "tokens", tokens_BTD, {{"B"}, {"T"}, {"D"}});
  if (config.global_pool == "last") return tokens_BTD.select(1, -1);
  if (config.global_pool == "token") return tokens_BTD.select(1, 0);
  const at::Tensor patches = tokens_BTD.slice(1, config.num_prefix_tokens());
  if (config.global_pool == "map") return map_pool(layers, patches);
  const at::Tensor mean = patches.mean(1);
  return config.fc_norm ? layers.norm("fc_norm", mean) : mean;
}

}  // namespace vit22b
