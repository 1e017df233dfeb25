#include "model/pooling.h"

#include "core/error.h"
#include "kernels/attention.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

// The latent's query, the same for every image: [1, 1, D].
at::Tensor map_query(const Layers& l, at::ScalarType dtype) {
  return l.rows("attn_pool.q", l.weight("attn_pool.latent").to(dtype));
}

at::Tensor map_pool(const Layers& l, const at::Tensor& tokens_BTD) {
  const at::Tensor query = map_query(l, tokens_BTD.scalar_type());
  const at::Tensor attended =
      l.query_attention(query.flatten(), l.rows("attn_pool.kv", tokens_BTD));
  const at::Tensor pooled = l.columns("attn_pool.proj", attended);
  return pooled + l.mlp("attn_pool.mlp.", l.norm("attn_pool.norm", pooled));
}

// Tokens after the class token and registers, or all of them.
at::Tensor pooled_tokens(const ViTConfig& config, const at::Tensor& tokens_BTD) {
  const int64_t first = config.pool.pool_include_prefix ? 0 : config.num_prefix_tokens();
  return first == 0 ? tokens_BTD : tokens_BTD.slice(1, first);
}

}  // namespace

at::Tensor map_attention(const ViTConfig& config, const Layers& layers,
                         const at::Tensor& tokens_BTD) {
  const at::Tensor seen = pooled_tokens(config, tokens_BTD);
  const at::Tensor keys = layers.rows("attn_pool.kv", seen).chunk(2, -1)[0];
  const at::Tensor weights_BHN =
      attention_weights(split_heads(map_query(layers, seen.scalar_type()), layers.num_heads()),
                        split_heads(keys, layers.num_heads()))
          .select(2, 0);
  return weights_BHN.slice(2, seen.size(1) - (tokens_BTD.size(1) - config.num_prefix_tokens()));
}

at::Tensor pool_tokens(const ViTConfig& config, const Layers& layers,
                       const at::Tensor& tokens_BTD) {
  check_shape("Pooling", "tokens", tokens_BTD, {{"B"}, {"T"}, {"D"}});
  if (config.pool.global_pool == "last") return tokens_BTD.select(1, -1);
  if (config.pool.global_pool == "token") return tokens_BTD.select(1, 0);
  const at::Tensor pooled = pooled_tokens(config, tokens_BTD);
  if (config.pool.global_pool == "map") return map_pool(layers, pooled);
  VIT22B_CHECK(config.pool.global_pool == "avg", "Pooling: no kind '", config.pool.global_pool,
               "'");
  const at::Tensor mean = pooled.mean(1);
  return config.norm.fc_norm ? layers.norm("fc_norm", mean) : mean;
}

}  // namespace vit22b
