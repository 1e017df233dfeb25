#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/fields.h"

namespace vit22b {

/// Norms: those of the blocks, and those around them.
struct NormConfig {
  std::string norm_layer = "rmsnorm";  ///< "rmsnorm" or "layernorm"
  double norm_eps = 1e-6;
  bool final_norm = true;   ///< a norm after the blocks, or after pooling
  bool fc_norm = false;     ///< final norm after average pooling instead of before
  bool pre_norm = false;    ///< a norm between the embedding and the blocks (CLIP)
  bool embed_norm = false;  ///< a norm of the patches before their positions (AIMv2)
  bool post_norm = false;   ///< x + norm(f(x)) instead of x + f(norm(x)) (EVA-CLIP 18B)
  bool attn_norm = false;   ///< a norm of what was attended, before its projection (EVA02, BEiT-3)
  bool mlp_norm = false;    ///< a norm of the hidden units, before their projection

  void fields(FieldVisitor& visitor);
};

struct AttentionConfig {
  bool qkv_bias = false;
  bool qk_norm = true;
  bool qk_norm_width = false;  ///< over all heads together instead of each (InternViT)
  bool proj_bias = true;       ///< biases of the out-projections and of the MLP

  void fields(FieldVisitor& visitor);
};

struct MlpConfig {
  double mlp_ratio = 4;
  int64_t mlp_hidden = 0;               ///< hidden units; 0: mlp_ratio times the width
  bool swiglu = false;                  ///< gated: activation(gate) * hidden, as many of both
  std::string act_layer = "gelu_tanh";  ///< "gelu_tanh", "gelu" (erf), "quick_gelu", "silu"

  void fields(FieldVisitor& visitor);
};

/// What tokens there are beside patches, and the positions that are added.
struct TokenConfig {
  bool class_token = false;
  int64_t reg_tokens = 0;
  bool no_embed_class = false;
  bool drop_edge = false;           ///< pixels at the right and below that fill no patch are left
  std::string pos_embed = "learn";  ///< "learn", "none", or "sincos", computed for any grid
  std::string posemb_resize = "bicubic_antialias";

  void fields(FieldVisitor& visitor);
};

/// Rotation of queries and keys by their patches' places, half of a head's angles by the row and
/// half by the column (docs/math.md).
struct RotaryConfig {
  std::string rope = "none";   ///< "none", "index" (row and column numbers), "centre" (-1 to 1)
  double rope_theta = 10'000;  ///< base of the wavelengths
  bool rope_half = false;      ///< partners half a head apart, else neighbours
  bool rope_xy = false;        ///< the columns' angles before the rows'
  double rope_offset = 0;      ///< added to row and column numbers
  bool rope_bf16 = false;      ///< wavelengths rounded to bfloat16, as DINOv3's own files have them
  ImageSize rope_ref{0, 0};  ///< the grid, in patches, whose numbers others are scaled to; 0: none

  void fields(FieldVisitor& visitor);
};

/// How tokens become one vector.
struct PoolConfig {
  std::string global_pool = "map";   ///< "map", "avg", "token", "cls_avg", "last" or "none"
  bool pool_include_prefix = false;  ///< MAP and the mean see class token and registers too
  int64_t pool_heads = 0;            ///< of MAP; 0: the blocks'
  double pool_mlp_ratio = 0;         ///< of MAP's MLP; 0: the blocks' hidden units
  std::string pool_act = "same";     ///< of MAP's MLP: "same" as act_layer, or one of its words
  bool pool_mlp = true;              ///< MAP ends with a norm and an MLP

  void fields(FieldVisitor& visitor);
};

/// Of a tower that reads words, or whose images are embedded beside words.
struct TextConfig {
  int64_t vocab_size = 0;      ///< 0 for one that sees images
  int64_t context_length = 0;  ///< words that it reads
  int64_t joint_dim = 0;       ///< width of the embedding that it shares with an image tower
  bool causal = false;         ///< words see those before them alone
  /// With global_pool=last: the word of the last place, that with the largest number, or the first
  /// that is `eos_id`.
  std::string text_pool = "last";
  int64_t eos_id = 0;

  void fields(FieldVisitor& visitor);
};

/// What tells how sure a model is (Plex, arXiv 2207.07411): logits with noise that depends on the
/// image, and members that share all but vectors in the MLPs of the last blocks.
struct PlexConfig {
  std::string head = "linear";  ///< "linear" or "heteroscedastic"
  int64_t head_factors = 15;    ///< rank of the noise's covariance, beside its diagonal
  int64_t head_samples = 1000;  ///< of the noise, in training and after
  double head_temperature = 1;  ///< divides noisy logits
  /// How logits of samples and members become probabilities, which are averaged: "softmax" or
  /// "sigmoid", that of the loss.
  std::string head_link = "softmax";
  int64_t batch_ensemble_blocks = 0;  ///< last blocks with members' own vectors; 0 for none
  int64_t batch_ensemble_size = 3;    ///< members
  /// First values of these vectors: above 0 the probability of +1 against -1, else normal around 1
  /// with the negated standard deviation (uncertainty-baselines' random_sign_init).
  double batch_ensemble_sign = -0.5;

  bool is_heteroscedastic() const { return head == "heteroscedastic"; }
  bool has_members() const { return batch_ensemble_blocks > 0; }
  int64_t members() const { return has_members() ? batch_ensemble_size : 1; }
  void fields(FieldVisitor& visitor);
};

/// Low-rank adapters beside the linear layers of blocks (LoRA, arXiv 2106.09685): a layer with the
/// weight W computes x (W + alpha / rank · B A)ᵀ, with A [rank, in] and B [out, rank] of its own.
struct AdapterConfig {
  int64_t rank = 0;  ///< 0 for none
  double alpha = 16;
  std::vector<std::string> targets = {"*"};  ///< layers, by the ends of their names or patterns

  bool exist() const { return rank > 0; }
  double scale() const { return alpha / static_cast<double>(rank); }
  void fields(FieldVisitor& visitor);
};

/// Everything that decides a vision transformer's parameters and function, in timm's argument
/// names; the groups are C++'s alone: to configs all keys are flat.
///
/// Each difference that an imported checkpoint must keep (GELU form, eps, norm kind, position-table
/// resize) is a field.
struct ViTConfig {
  std::string name = "b16";
  std::string block = "parallel";  ///< "parallel" (ViT-22B) or "serial" (ViT)
  ImageSize img_size{224, 224};
  int64_t patch_size = 16;
  int64_t in_chans = 3;
  int64_t embed_dim = 768;
  int64_t depth = 12;
  int64_t num_heads = 12;
  int64_t num_classes = 1000;  ///< 0 means no head
  double head_bias_init = -10;
  double init_values = 0;  ///< LayerScale's first value; 0 means no LayerScale
  AttentionConfig attention;
  MlpConfig mlp;
  NormConfig norm;
  TokenConfig tokens;
  RotaryConfig rotary;
  PoolConfig pool;
  TextConfig text;
  PlexConfig plex;
  AdapterConfig adapters;  ///< of a training or a checkpoint; no field of a model's own

  void fields(FieldVisitor& visitor);

  /// Hidden units of a block's MLP, and of MAP's.
  int64_t mlp_dim() const {
    return mlp.mlp_hidden > 0
               ? mlp.mlp_hidden
               : static_cast<int64_t>(mlp.mlp_ratio * static_cast<double>(embed_dim));
  }
  int64_t pool_mlp_dim() const {
    return pool.pool_mlp_ratio > 0
               ? static_cast<int64_t>(pool.pool_mlp_ratio * static_cast<double>(embed_dim))
               : mlp_dim();
  }
  int64_t pool_heads() const { return pool.pool_heads > 0 ? pool.pool_heads : num_heads; }
  /// The first block with members of its own; depth for none.
  int64_t first_ensemble_block() const { return depth - plex.batch_ensemble_blocks; }
  int64_t head_dim() const { return embed_dim / num_heads; }
  int64_t grid_height() const { return img_size.height / patch_size; }
  int64_t grid_width() const { return img_size.width / patch_size; }
  int64_t num_patches() const { return grid_height() * grid_width(); }
  int64_t num_prefix_tokens() const { return (tokens.class_token ? 1 : 0) + tokens.reg_tokens; }
  bool reads_words() const { return text.vocab_size > 0; }
  int64_t num_tokens() const {
    return reads_words() ? text.context_length : num_patches() + num_prefix_tokens();
  }
  bool has_position_table() const { return reads_words() || tokens.pos_embed == "learn"; }
  /// Rows of the position table: the patches, and the prefix tokens unless no_embed_class.
  int64_t position_rows() const {
    if (!has_position_table()) return 0;
    return reads_words() ? text.context_length
                         : num_patches() + (tokens.no_embed_class ? 0 : num_prefix_tokens());
  }
  bool is_parallel() const { return block == "parallel"; }
  bool has_head() const { return num_classes > 0 || text.joint_dim > 0; }
  /// Whether the head is no classifier but a projection to what texts are embedded to as well.
  bool embeds_images() const { return !reads_words() && text.joint_dim > 0; }
  /// Outputs of the head: classes; the joint embedding; or of words that, scaled, and the logits'
  /// bias.
  int64_t head_outputs() const {
    if (text.joint_dim == 0) return num_classes;
    return reads_words() ? text.joint_dim + 1 : text.joint_dim;
  }
  bool has_final_norm() const { return norm.final_norm && !norm.fc_norm; }
  bool has_pool() const { return pool.global_pool != "none"; }
  /// Width of what tokens are pooled to.
  int64_t pooled_dim() const { return pool.global_pool == "cls_avg" ? 2 * embed_dim : embed_dim; }

  /// throws  UsageError for a word that is no choice of its field, naming the nearest, and for
  /// sizes
  ///         that do not fit together; an image that is no multiple of the patch names the nearest
  void validate() const;
};

/// The ratio whose product with the width truncates to the hidden width exactly.
double exact_ratio(int64_t hidden, int64_t width);

/// The names of the presets: plain ones in order of size, then the largest open models.
std::vector<std::string> preset_names();

/// A preset in the paper's block or the classic one; an open model has its own.
///
/// throws  UsageError for an unknown name, naming the nearest
ViTConfig preset(const std::string& name, const std::string& block = "parallel");

/// What the keys `name` and `block` of a tree of model keys stand for before the others change it:
/// a preset; or, where embed_dim, depth, num_heads and patch_size are written too, any name.
///
/// throws  UsageError for another name, naming the nearest preset
ViTConfig base_model(const ConfigTree& tree, const std::string& default_name = "b16");

/// The base model of a tree, changed by its other keys.
///
/// throws  UsageError for unknown keys and values that do not fit
ViTConfig model_from_tree(const ConfigTree& tree, const std::string& default_name = "b16");

}  // namespace vit22b
