#include "core/error.h"
#include "model/config.h"

namespace vit22b {
namespace {

constexpr int64_t kMostBlocks = 1'000;  // a table of a million fills the memory before any weight
constexpr int64_t kMostOfAPatch = 1'000'000'000;
// A bound against overflow of products of sizes: no real model has a side of a million.
constexpr int64_t kMost = 1'000'000;
constexpr int64_t kMostWords = 100'000'000;
constexpr int64_t kMostNoise = 1'000;            // factors and members beyond any use
constexpr int64_t kMostNumbers = 1'000'000'000;  // of noise: 4 GB

// 1000000 as 1,000,000.
std::string grouped(int64_t value) {
  std::string text = std::to_string(value);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

void want_range(const char* key, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most)
    throw UsageError("model.", key, " is ", value, ", want ", least, " to ", grouped(most));
}

void want_positive(const char* key, int64_t value) {
  want_range(key, value, 1, kMost);
}

std::string nearest_sizes(int64_t size, int64_t patch) {
  const int64_t below = size / patch * patch;
  return below > 0 ? concat(below, " or ", below + patch) : std::to_string(patch);
}

void check_image(const ViTConfig& c) {
  want_positive("img_size", c.img_size.height);
  want_positive("img_size", c.img_size.width);
  want_positive("patch_size", c.patch_size);
  want_positive("in_chans", c.in_chans);
  for (const int64_t side : {c.img_size.height, c.img_size.width})
    if (side < c.patch_size || (side % c.patch_size != 0 && !c.tokens.drop_edge))
      throw UsageError("image size ", side, " is no multiple of the patch size ", c.patch_size,
                       "; the nearest sizes are ", nearest_sizes(side, c.patch_size));
  if (c.patch_size * c.patch_size > kMostOfAPatch / c.in_chans)
    throw UsageError("model.patch_size ", c.patch_size, " with model.in_chans ", c.in_chans,
                     ": a patch has more than ", kMostOfAPatch, " values");
}

void check_sizes(const ViTConfig& c) {
  want_positive("embed_dim", c.embed_dim);
  want_range("depth", c.depth, 1, kMostBlocks);
  want_positive("num_heads", c.num_heads);
  if (c.embed_dim % c.num_heads != 0)
    throw UsageError("model.embed_dim ", c.embed_dim, " is no multiple of model.num_heads ",
                     c.num_heads);
  want_range("mlp_hidden", c.mlp.mlp_hidden, 0, kMost);
  if (!(c.mlp.mlp_ratio > 0) || c.mlp.mlp_ratio > 1000 || c.mlp_dim() < 1)
    throw UsageError("model.mlp_ratio is ", c.mlp.mlp_ratio,
                     ", want more than 0 and at least one hidden unit");
  if (c.num_classes < 0 || c.num_classes > kMostWords)
    throw UsageError("model.num_classes is ", c.num_classes, ", want 0 or more");
  want_range("reg_tokens", c.tokens.reg_tokens, 0, 10'000);
  want_range("joint_dim", c.text.joint_dim, 0, kMost);
  if (c.text.joint_dim > 0 && c.num_classes > 0)
    throw UsageError("model.joint_dim and model.num_classes exclude each other");
}

void check_words(const ViTConfig& c) {
  want_positive("context_length", c.text.context_length);
  want_range("vocab_size", c.text.vocab_size, 0, kMostWords);
  if (c.tokens.class_token || c.tokens.reg_tokens > 0 || c.pool.global_pool == "token" ||
      c.pool.global_pool == "cls_avg")
    throw UsageError(
        "a text tower has words alone: model.class_token=false model.reg_tokens=0, and "
        "global_pool map, avg or last");
  if (c.tokens.pos_embed != "learn" || c.rotary.rope != "none" || c.norm.embed_norm ||
      c.norm.pre_norm)
    throw UsageError(
        "a text tower's positions are a learned table: model.pos_embed=learn model.rope=none "
        "model.embed_norm=false model.pre_norm=false");
}

void check_pictures(const ViTConfig& c) {
  if (c.text.context_length != 0 || c.pool.global_pool == "last" || c.text.causal)
    throw UsageError(
        "model.context_length, model.causal and global_pool=last are a text tower's; set "
        "model.vocab_size");
  if (c.rotary.rope != "none" && (c.head_dim() % 4 != 0 || !(c.rotary.rope_theta > 0)))
    throw UsageError("model.rope=", c.rotary.rope,
                     " turns features in pairs of rows and columns: "
                     "want heads of a multiple of 4 features, not ",
                     c.head_dim(), ", and a model.rope_theta above 0");
  if (c.tokens.pos_embed == "sincos" && c.embed_dim % 4 != 0)
    throw UsageError("model.pos_embed=sincos wants a model.embed_dim of a multiple of 4, not ",
                     c.embed_dim);
  const auto [height, width] = c.rotary.rope_ref;
  if (height < 0 || width < 0 || (height == 0) != (width == 0))
    throw UsageError("model.rope_ref is ", height, "x", width, ", want the sides of a grid, or 0");
}

void check_pool(const ViTConfig& c) {
  const std::string& pool = c.pool.global_pool;
  if ((pool == "token" || pool == "cls_avg") && !c.tokens.class_token)
    throw UsageError("model.global_pool=", pool,
                     " needs model.class_token=true; or use map or avg");
  if (pool == "none" && c.has_head())
    throw UsageError("model.global_pool=none leaves nothing to classify: set model.num_classes=0");
  if (c.pool.pool_include_prefix && pool != "avg" && pool != "map")
    throw UsageError("model.pool_include_prefix goes with model.global_pool map or avg");
  want_range("pool_heads", c.pool.pool_heads, 0, kMost);
  if (c.embed_dim % c.pool_heads() != 0)
    throw UsageError("model.embed_dim ", c.embed_dim, " is no multiple of model.pool_heads ",
                     c.pool.pool_heads);
  if (!(c.pool.pool_mlp_ratio >= 0) || c.pool.pool_mlp_ratio > 1000 || c.pool_mlp_dim() < 1)
    throw UsageError("model.pool_mlp_ratio is ", c.pool.pool_mlp_ratio,
                     ", want 0, or enough for one hidden unit");
  if (c.text.text_pool != "last" && pool != "last")
    throw UsageError("model.text_pool=", c.text.text_pool, " goes with model.global_pool=last");
}

void check_norms(const ViTConfig& c) {
  if (!(c.norm.norm_eps >= 0))
    throw UsageError("model.norm_eps is ", c.norm.norm_eps, ", want 0 or more");
  if (c.norm.fc_norm && (c.pool.global_pool != "avg" || !c.norm.final_norm))
    throw UsageError("model.fc_norm goes with model.global_pool=avg and model.final_norm=true");
  if (c.norm.post_norm && (c.is_parallel() || c.init_values > 0))
    throw UsageError("model.post_norm goes with model.block=serial and model.init_values=0");
}

void check_plex(const ViTConfig& c) {
  const PlexConfig& plex = c.plex;
  if ((plex.is_heteroscedastic() || plex.has_members()) && (c.num_classes == 0 || c.reads_words()))
    throw UsageError(
        plex.has_members() ? "model.batch_ensemble_blocks" : "model.head=heteroscedastic",
        " is of models that classify images; set model.num_classes");
  want_range("head_factors", plex.head_factors, 0, kMostNoise);
  want_range("head_samples", plex.head_samples, 1, kMost);
  if (plex.is_heteroscedastic() && plex.head_samples > kMostNumbers / c.num_classes)
    throw UsageError("model.head_samples ", plex.head_samples, " with model.num_classes ",
                     c.num_classes, ": the noise has more than ", grouped(kMostNumbers),
                     " numbers");
  if (!(plex.head_temperature >= 1e-3) || !std::isfinite(plex.head_temperature))
    throw UsageError("model.head_temperature is ", plex.head_temperature, ", want at least 0.001");
  if (plex.batch_ensemble_blocks < 0 || plex.batch_ensemble_blocks > c.depth)
    throw UsageError("model.batch_ensemble_blocks is ", plex.batch_ensemble_blocks, ", want 0 to ",
                     c.depth, ", as model.depth");
  want_range("batch_ensemble_size", plex.batch_ensemble_size, 1, kMostNoise);
  if (!std::isfinite(plex.batch_ensemble_sign) || plex.batch_ensemble_sign > 1)
    throw UsageError("model.batch_ensemble_sign is ", plex.batch_ensemble_sign,
                     ", want a probability, or a negated standard deviation");
  if (plex.has_members() && c.adapters.exist())
    throw UsageError("lora.rank and model.batch_ensemble_blocks exclude each other");
}

void check_adapters(const AdapterConfig& adapters) {
  if (adapters.rank < 0 || adapters.rank > kMost)
    throw UsageError("lora.rank is ", adapters.rank, ", want 0 to ", grouped(kMost));
  if (!adapters.exist()) return;
  if (!(adapters.alpha > 0) || !std::isfinite(adapters.alpha))
    throw UsageError("lora.alpha is ", adapters.alpha, ", want more than 0");
  if (adapters.targets.empty())
    throw UsageError("lora.targets names no layer; use [\"*\"] for all, or lora.rank=0");
}

}  // namespace

void ViTConfig::validate() const {
  ViTConfig copy = *this;  // a visitor may change what it sees; this one does not
  require_choices([&](FieldVisitor& v) { copy.fields(v); }, "model.");
  check_image(*this);
  check_sizes(*this);
  reads_words() ? check_words(*this) : check_pictures(*this);
  check_pool(*this);
  check_norms(*this);
  check_plex(*this);
  check_adapters(adapters);
}

}  // namespace vit22b
