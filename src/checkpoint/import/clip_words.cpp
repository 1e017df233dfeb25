#include "checkpoint/import/clip_words.h"

#include "checkpoint/import/clip_names.h"
#include "checkpoint/import/given.h"
#include "core/error.h"

namespace vit22b {
namespace {

constexpr std::string_view kPrefixes[] = {"module.", "text."};
constexpr NameRule kRules[] = {
    {"visual.", ""},
    {"ln_final.", "norm."},
    {"text_projection.", "joint."},
    {"text_projection", "joint.weight", 0, 1, Change::kTransposed},
    {"attn_mask", ""},
    {"input_resolution", ""},
    {"context_length", ""},
    {"vocab_size", ""},
};
constexpr int64_t kHead = 64;  // features a head

}  // namespace

Imported read_clip_words(const ImportFiles& files, const TensorContainer& weights) {
  std::vector<NameRule> rules(std::begin(kRules), std::end(kRules));
  rules.insert(rules.end(), std::begin(kClipRules), std::end(kClipRules));
  RenamedTensors tensors(weights, kPrefixes, rules);
  ModelInfo info;
  ViTConfig& c = info.config = config_of_words(tensors, files.config_place);
  check_centred_norms(c, files.config_place);
  c.mlp.act_layer = "gelu";
  c.norm.norm_eps = 1e-5;
  c.text.causal = true;
  c.text.text_pool = "argmax";
  info.words.cleaning = Cleaning::kCaptionLower;
  return {info, tensors};
}

void check_centred_norms(const ViTConfig& config, const std::string& place) {
  if (config.norm.norm_layer != "layernorm")
    throw CheckpointError(place,
                          ": its norms have no biases, which no block of CLIP's has; a "
                          "LayerNorm without them is not supported");
}

void take_words_heads(const ImportFiles& files, ModelInfo& info) {
  if (is_given(files, "num_heads")) return;
  ViTConfig& c = info.config;
  if (c.embed_dim % kHead != 0)
    throw CheckpointError(files.config_place, ": a text tower of width ", c.embed_dim,
                          " whose files do not say its attention heads, and which are not ", kHead,
                          " features wide as the published ones' are; add model.text.num_heads=N "
                          "behind the checkpoint");
  c.num_heads = c.embed_dim / kHead;
  note_origin(info, "num_heads", concat("the published models, of ", kHead, " features a head"));
}

}  // namespace vit22b
