#include "model/pooling.h"

#include "core/error.h"
#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

// The latent's query, the same for every image: [1, 1, D].
at::Tensor map_query(const Layers& l, at::ScalarType dtype) {
  return l.rows("attn_pool.q", l.weight("attn_pool.latent").to(dtype));
}

// Heads of this rank.
int64_t map_heads(const ViTConfig& config, const Layers& l) {
  return l.own_share(config.pool_heads()).count;
}

at::Tensor map_pool(const ViTConfig& config, const Layers& l, const at::Tensor& tokens_BTD) {
  const at::Tensor query = map_query(l, tokens_BTD.scalar_type());
  const at::Tensor attended =
      l.query_attention(query.flatten(), l.rows("attn_pool.kv", tokens_BTD), map_heads(config, l));
  const at::Tensor pooled = l.columns("attn_pool.proj", attended);
  if (!config.pool.pool_mlp) return pooled;
  const Activation activation = config.pool.pool_act == "same"
                                    ? l.block().activation
                                    : parse_activation(config.pool.pool_act);
  return pooled + l.mlp("attn_pool.mlp.", l.norm("attn_pool.norm", pooled), activation);
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
      attention_weights(
          split_heads(map_query(layers, seen.scalar_type()), map_heads(config, layers)),
          split_heads(keys, map_heads(config, layers)))
          .select(2, 0);
  return weights_BHN.slice(2, seen.size(1) - (tokens_BTD.size(1) - config.num_prefix_tokens()));
}

at::Tensor pool_tokens(const ViTConfig& config, const Layers& layers, const Sequence& sequence,
                       const at::Tensor& tokens_BTD) {
  check_shape("Pooling", "tokens", tokens_BTD, {{"B"}, {"T"}, {"D"}});
  const std::string& kind = config.pool.global_pool;
  if (kind == "last" && sequence.picked_B.defined())
    return tokens_BTD
        .gather(1, sequence.picked_B.view({-1, 1, 1}).expand({-1, 1, tokens_BTD.size(2)}))
        .squeeze(1);
  if (kind == "last") return tokens_BTD.select(1, -1);
  if (kind == "token") return tokens_BTD.select(1, 0);
  const at::Tensor pooled = pooled_tokens(config, tokens_BTD);
  if (kind == "map") return map_pool(config, layers, pooled);
  if (kind == "cls_avg") return at::cat({tokens_BTD.select(1, 0), pooled.mean(1)}, 1);
  VIT22B_CHECK(kind == "avg", "Pooling: no kind '", kind, "'");
  const at::Tensor mean = pooled.mean(1);
  return config.norm.fc_norm ? layers.norm("fc_norm", mean) : mean;
}

}  // namespace vit22b
