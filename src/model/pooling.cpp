#include "model/pooling.h"

#include "kernels/attention.h"
#include "kernels/shape.h"
#include "model/layers.h"

namespace vit22b {
namespace {

at::Tensor map_pool(const ViTConfig& c, const NamedTensors& w, const at::Tensor& tokens_BTD,
                    LinearFunction f) {
  const at::Tensor latent =
      w.at("attn_pool.latent").to(tokens_BTD.scalar_type()).expand({tokens_BTD.size(0), -1, -1});
  const at::Tensor query = split_heads(linear(w, "attn_pool.q", latent, f), c.num_heads);
  const auto keys_values = linear(w, "attn_pool.kv", tokens_BTD, f).chunk(2, -1);
  const at::Tensor attended = attention(query, split_heads(keys_values[0], c.num_heads),
                                        split_heads(keys_values[1], c.num_heads));
  const at::Tensor pooled = linear(w, "attn_pool.proj", merge_heads(attended), f);
  return (pooled + mlp(c, w, "attn_pool.mlp.", norm(c, w, "attn_pool.norm", pooled), f))
      .select(1, 0);
}

}  // namespace

at::Tensor pool_tokens(const ViTConfig& config, const NamedTensors& weights,
                       const at::Tensor& tokens_BTD, LinearFunction function) {
  check_shape("Pooling", "tokens", tokens_BTD, {{"B"}, {"T"}, {"D", config.embed_dim}});
  if (config.global_pool == "token") return tokens_BTD.select(1, 0);
  const at::Tensor patches = tokens_BTD.slice(1, config.num_prefix_tokens());
  if (config.global_pool == "map") return map_pool(config, weights, patches, function);
  const at::Tensor mean = patches.mean(1);
  return config.fc_norm ? norm(config, weights, "fc_norm", mean) : mean;
}

}  // namespace vit22b
