#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/fields.h"

namespace vit22b {

/// Norms: those of the blocks, and the last one.
struct NormConfig {
  std::string norm_layer = "rmsnorm";  ///< "rmsnorm" or "layernorm"
  double norm_eps = 1e-6;
  bool final_norm = true;  ///< a norm after the blocks, or after pooling
  bool fc_norm = false;    ///< final norm after average pooling instead of before
};

struct AttentionConfig {
  bool qkv_bias = false;
  bool qk_norm = true;
};

struct MlpConfig {
  double mlp_ratio = 4;
  std::string act_layer = "gelu_tanh";  ///< "gelu_tanh" or "gelu" (erf)
};

/// What tokens there are beside patches, and how they know their places.
struct TokenConfig {
  bool class_token = false;
  int64_t reg_tokens = 0;
  bool no_embed_class = false;
  std::string posemb_resize = "bicubic_antialias";
};

/// How tokens become one vector.
struct PoolConfig {
  std::string global_pool = "map";   ///< "map", "avg", "token" or "last"
  bool pool_include_prefix = false;  ///< MAP and the mean see class token and registers too
};

/// Of a tower that reads words.
struct TextConfig {
  int64_t vocab_size = 0;      ///< 0 for one that sees images
  int64_t context_length = 0;  ///< words that it reads
  int64_t joint_dim = 0;       ///< width of the embedding that it shares with an image tower
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
  PoolConfig pool;
  TextConfig text;

  void fields(FieldVisitor& visitor);

  int64_t mlp_dim() const {
    return static_cast<int64_t>(mlp.mlp_ratio * static_cast<double>(embed_dim));
  }
  int64_t head_dim() const { return embed_dim / num_heads; }
  int64_t grid_height() const { return img_size.height / patch_size; }
  int64_t grid_width() const { return img_size.width / patch_size; }
  int64_t num_patches() const { return grid_height() * grid_width(); }
  int64_t num_prefix_tokens() const { return (tokens.class_token ? 1 : 0) + tokens.reg_tokens; }
  bool reads_words() const { return text.vocab_size > 0; }
  int64_t num_tokens() const {
    return reads_words() ? text.context_length : num_patches() + num_prefix_tokens();
  }
  /// Rows of the position table: the patches, and the prefix tokens unless no_embed_class.
  int64_t position_rows() const {
    return reads_words() ? text.context_length
                         : num_patches() + (tokens.no_embed_class ? 0 : num_prefix_tokens());
  }
  bool is_parallel() const { return block == "parallel"; }
  bool has_head() const { return num_classes > 0 || text.joint_dim > 0; }
  /// Outputs of the head: classes; or the joint embedding, scaled, and the logits' bias.
  int64_t head_outputs() const { return text.joint_dim > 0 ? text.joint_dim + 1 : num_classes; }
  bool has_final_norm() const { return norm.final_norm && !norm.fc_norm; }

  /// throws  UsageError for a word that is no choice of its field, naming the nearest, and for
  /// sizes
  ///         that do not fit together; an image that is no multiple of the patch names the nearest
  void validate() const;
};

/// The names of the presets, in order of size.
std::vector<std::string> preset_names();

/// A preset in the paper's block or the classic one.
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
