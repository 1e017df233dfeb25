#include "explain/model_diagram.h"

#include "core/text.h"
#include "model/block_spec.h"
#include "model/parameter_table.h"

namespace vit22b {
namespace {

using Words = std::vector<std::string>;

std::string norm_words(const NormForm& form) {
  return concat(!form.is_centred ? "RMSNorm"
                : form.has_bias  ? "LayerNorm"
                                 : "LayerNorm without bias",
                ", eps ", form.eps);
}

void add_norm(const BlockNorm& norm, const std::string& of, Words& words) {
  if (norm.exists()) words.push_back(norm_words(norm.form) + of);
}

std::string linear_words(const std::string& what, int64_t in, const std::string& out,
                         const LinearSpec& layer) {
  return concat(what, in, " → ", out, layer.bias.empty() ? ", no bias" : "");
}

Words attention_words(const ViTConfig& config, const BlockSpec& block) {
  Words words = {linear_words("q, k, v: ", block.width, concat("3 × ", block.width), block.qkv)};
  if (block.q_norm.exists() || block.q_wide.exists())
    words.emplace_back(block.q_norm.exists() ? "norms of q and k, by head" : "norms of q and k");
  if (config.rotary.rope != "none")
    words.push_back(concat("rotated by place (", config.rotary.rope, ")"));
  words.push_back(concat("attention: ", block.heads, " heads of ", block.head_size(),
                         config.text.causal ? ", causal" : ""));
  add_norm(block.attn_norm, "", words);
  words.push_back(linear_words("out: ", block.width, std::to_string(block.width), block.proj));
  return words;
}

Words mlp_words(const ViTConfig& config, const BlockSpec& block) {
  const std::string hidden = std::to_string(block.hidden);
  Words words;
  if (block.is_gated()) {
    words.push_back(linear_words("gate and hidden: ", block.width, "2 × " + hidden, block.fc1));
    words.push_back(concat(config.mlp.act_layer, "(gate) × hidden"));
  } else {
    words.push_back(linear_words("", block.width, hidden, block.fc1));
    words.push_back(config.mlp.act_layer);
  }
  add_norm(block.mlp_norm, "", words);
  words.push_back(linear_words("", block.hidden, std::to_string(block.width), block.fc2));
  return words;
}

std::vector<DiagramBranches> block_parts(const ViTConfig& config) {
  const BlockSpec block = block_spec(config);
  DiagramBranches attention{{}, {attention_words(config, block)}, {}},
      mlp{{}, {mlp_words(config, block)}, {}};
  add_norm(block.norm1, "", attention.first);
  add_norm(block.norm2, "", mlp.first);
  if (!block.scale1.empty()) attention.last.emplace_back("LayerScale");
  if (!block.scale2.empty()) mlp.last.emplace_back("LayerScale");
  add_norm(block.out_norm1, "", attention.last);
  add_norm(block.out_norm2, "", mlp.last);
  if (!block.is_parallel()) return {attention, mlp};
  attention.branches.push_back(mlp.branches.front());
  return {attention};
}

Words before_blocks(const ViTConfig& c) {
  Words words;
  if (c.reads_words()) {
    words = {concat(c.text.context_length, " words of ", c.text.vocab_size)};
  } else {
    words = {concat("image ", c.in_chans, " × ", c.img_size.height, " × ", c.img_size.width),
             concat(c.num_patches(), " patches of ", c.patch_size, " → ", c.embed_dim)};
    if (c.norm.embed_norm) words.push_back(norm_words(norm_form(c)));
    if (c.tokens.class_token) words.emplace_back("and the class token");
    if (c.tokens.reg_tokens > 0) words.push_back(concat("and ", c.tokens.reg_tokens, " registers"));
  }
  if (c.has_position_table())
    words.push_back(concat("+ ", c.position_rows(), " positions"));
  else if (c.tokens.pos_embed == "sincos")
    words.emplace_back("+ sines and cosines of places");
  if (c.norm.pre_norm) words.push_back(norm_words(norm_form(c)));
  return words;
}

Words after_blocks(const ViTConfig& c) {
  Words words;
  if (c.has_final_norm()) words.push_back(norm_words(norm_form(c)));
  if (c.has_pool()) words.push_back("pool: " + c.pool.global_pool);
  if (c.norm.fc_norm) words.push_back(norm_words(norm_form(c)));
  if (c.has_head())
    words.push_back(concat(c.num_classes > 0 && !c.embeds_images() ? "classes: " : "embedding: ",
                           c.pooled_dim(), " → ", c.head_outputs()));
  return words;
}

}  // namespace

BlockDiagram model_diagram(const ViTConfig& config) {
  const ParameterCounts counts = count_parameters(parameter_table(config));
  return {.title = concat(config.name, ": ",
                          formatted("%.4g M parameters", static_cast<double>(counts.total) / 1e6)),
          .before = before_blocks(config),
          .block = concat(config.depth, config.depth == 1 ? " block" : " blocks"),
          .parts = block_parts(config),
          .after = after_blocks(config)};
}

}  // namespace vit22b
