#include "checkpoint/import/timm_args.h"

#include <nlohmann/json.hpp>

#include "checkpoint/import/timm_registry.h"
#include "core/error.h"
#include "core/letter_case.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

/// An argument that the blocks here have no choice for: what timm takes without it is what they do.
struct FixedArgument {
  const char* name;
  const char* only;  ///< as JSON text
  const char* is;    ///< what another value asks for
};
constexpr FixedArgument kFixed[] = {
    {"pre_norm", "false", "a norm before the blocks"},
    {"proj_bias", "true", "projections without biases"},
    {"pos_embed", "\"learn\"", "other positions than a learned table"},
    {"scale_attn_norm", "false", "a norm inside attention"},
    {"scale_mlp_norm", "false", "a norm inside the MLP"},
    {"embed_norm_layer", "null", "a norm in the patch embedding"},
    {"embed_layer", "null", "another patch embedding"},
    {"mlp_layer", "null", "another MLP, such as SwiGLU"},
    {"attn_layer", "null", "another attention"},
    {"use_naflex", "false", "patches of pictures of any shape"},
    {"features_only", "false", "feature maps instead of a classifier"},
};

/// Arguments that change training, or sizes that a model was not trained at: not what it computes.
constexpr const char* kHarmless[] = {
    "dynamic_img_size", "dynamic_img_pad", "drop_rate",      "pos_drop_rate", "patch_drop_rate",
    "proj_drop_rate",   "attn_drop_rate",  "drop_path_rate", "weight_init",   "fix_init",
    "out_indices",      "device",          "dtype"};

/// Arguments by name, of which each is taken once; what is left at the end is unknown.
class Arguments {
 public:
  explicit Arguments(const TimmArgs& args) : place_(args.place), architecture_(args.architecture) {
    for (const std::string_view text :
         {std::string_view(args.pretrained), timm_arguments(args.architecture, args.place),
          std::string_view(args.model_args)}) {
      const Json part = Json::parse(text);
      for (const auto& [key, value] : part.items()) args_[key] = value;
    }
  }

  /// Takes an argument; `value` stays, timm's default, where it is absent or null.
  template <class T>
  void take(const char* name, T& value) {
    const Json given = taken(name);
    if (given.is_null()) return;
    const bool is_right = std::is_same_v<T, bool>          ? given.is_boolean()
                          : std::is_same_v<T, int64_t>     ? given.is_number_integer()
                          : std::is_same_v<T, std::string> ? given.is_string()
                                                           : given.is_number();
    if (!is_right)
      throw CheckpointError(place_, ": ", name, " is ", given.dump(), ", want ", want<T>());
    value = given.get<T>();
  }

  /// A size in pixels: one number, or height and width.
  void take_size(const char* name, ImageSize& size) {
    const Json given = taken(name);
    if (given.is_null()) return;
    const Json sides = given.is_array() ? given : Json::array({given, given});
    if (sides.size() != 2 || !sides[0].is_number_integer() || !sides[1].is_number_integer())
      throw CheckpointError(place_, ": ", name, " is ", given.dump(),
                            ", want a number, or [height, width]");
    size = {sides[0].get<int64_t>(), sides[1].get<int64_t>()};
  }

  Json taken(const char* name) {
    const auto it = args_.find(name);
    if (it == args_.end()) return nullptr;
    Json value = it->second;
    args_.erase(it);
    return value;
  }

  /// Notes what the blocks here cannot do.
  void refuse(const std::string& what) { refused_.push_back(what); }
  /// The same of a word that is none of `known`.
  void want_word(const char* name, const std::string& word, const std::vector<std::string>& known) {
    if (std::find(known.begin(), known.end(), word) == known.end())
      refuse(concat(name, "=", word.empty() ? "\"\"" : word, " (there are ", join(known, ", "), ")",
                    did_you_mean(word, known)));
  }

  /// throws  CheckpointError for all that was refused, or for an argument that nobody took
  void finish() const {
    if (!refused_.empty())
      throw CheckpointError(place_, ": the architecture '", architecture_,
                            "' is not supported: ", join(refused_, "; "));
    for (const auto& [name, value] : args_)
      throw CheckpointError(place_, ": model_args has the unknown argument '", name, "' (",
                            value.dump(), "), which may change what '", architecture_,
                            "' computes");
  }

 private:
  template <class T>
  static const char* want() {
    return std::is_same_v<T, bool>          ? "true or false"
           : std::is_same_v<T, int64_t>     ? "an integer"
           : std::is_same_v<T, std::string> ? "a string"
                                            : "a number";
  }

  std::map<std::string, Json> args_;
  const std::string place_, architecture_;
  std::vector<std::string> refused_;
};

void take_sizes(Arguments& args, ViTConfig& c) {
  ImageSize patch{c.patch_size, c.patch_size};
  args.take_size("patch_size", patch);
  if (patch.height != patch.width)
    args.refuse(concat("patch_size=[", patch.height, ", ", patch.width, "] (patches are square)"));
  c.patch_size = patch.height;
  args.take_size("img_size", c.img_size);
  for (const int64_t side : {c.img_size.height, c.img_size.width})
    if (c.patch_size > 0 && side % c.patch_size != 0) {
      args.refuse(concat("img_size=", side, " with patch_size=", c.patch_size,
                         " (an edge of pixels that are in no patch)"));
      break;
    }
  args.take("in_chans", c.in_chans);
  args.take("num_classes", c.num_classes);
  args.take("embed_dim", c.embed_dim);
  args.take("depth", c.depth);
  args.take("num_heads", c.num_heads);
  args.take("mlp_ratio", c.mlp.mlp_ratio);
  args.take("reg_tokens", c.tokens.reg_tokens);
}

/// timm's norms have an eps of 1e-6 unless an architecture gives another; underscores and capitals
/// do not count in their names.
void take_norm(Arguments& args, ViTConfig& c) {
  const Json given = args.taken("norm_layer");
  if (given.is_null() || (given.is_string() && given.get<std::string>().empty())) return;
  std::string kind = given.is_object() ? given.value("kind", "") : given.get<std::string>();
  std::erase(kind, '_');
  c.norm.norm_layer = ascii_lower_case(kind);
  if (given.is_object()) c.norm.norm_eps = given.value("eps", c.norm.norm_eps);
  args.want_word("norm_layer", c.norm.norm_layer, {"layernorm", "rmsnorm"});
}

void take_block(Arguments& args, ViTConfig& c) {
  const Json block = args.taken("block_fn");
  if (block == "ParallelScalingBlock") c.block = "parallel";
  if (!block.is_null() && block != "Block" && block != "ParallelScalingBlock")
    args.refuse("block_fn=" + (block.is_string() ? block.get<std::string>() : block.dump()) +
                " (another arrangement of the block)");
  args.take("qkv_bias", c.attention.qkv_bias);
  args.take("qk_norm", c.attention.qk_norm);
  args.take("init_values", c.init_values);
  args.take("class_token", c.tokens.class_token);
  args.take("no_embed_class", c.tokens.no_embed_class);
  args.take("act_layer", c.mlp.act_layer);
  c.mlp.act_layer = c.mlp.act_layer.empty() ? "gelu" : ascii_lower_case(c.mlp.act_layer);
  args.want_word("act_layer", c.mlp.act_layer, {"gelu", "gelu_tanh"});
}

/// The norm is after the pool where fc_norm says so, or for means where it says nothing.
void take_pool(Arguments& args, ViTConfig& c) {
  args.take("global_pool", c.pool.global_pool);
  args.want_word("global_pool", c.pool.global_pool, {"token", "avg", "map"});
  c.norm.fc_norm = c.pool.global_pool == "avg";
  args.take("fc_norm", c.norm.fc_norm);
  args.take("final_norm", c.norm.final_norm);
  c.norm.fc_norm = c.norm.fc_norm && c.norm.final_norm;
  if (c.norm.fc_norm && c.pool.global_pool != "avg")
    args.refuse("fc_norm=true with global_pool=" + c.pool.global_pool +
                " (a norm after another pool than the mean)");
  args.take("pool_include_prefix", c.pool.pool_include_prefix);
  if (c.pool.global_pool == "token")
    c.pool.pool_include_prefix = false;  // timm takes the first token
}

}  // namespace

ViTConfig model_of_timm_args(const TimmArgs& given) {
  Arguments args(given);
  if (const Json name = args.taken("class"); !name.is_null())
    throw CheckpointError(given.place, ": the architecture '", given.architecture,
                          "' is not supported: it is of timm's class ", name.get<std::string>(),
                          ", of which the blocks here are not");
  ViTConfig c = preset("b16", "serial");  // the defaults of timm's VisionTransformer
  c.name = given.architecture;
  take_sizes(args, c);
  take_norm(args, c);
  take_block(args, c);
  take_pool(args, c);
  for (const FixedArgument& fixed : kFixed)
    if (const Json value = args.taken(fixed.name);
        !value.is_null() && value != Json::parse(fixed.only))
      args.refuse(concat(fixed.name, "=",
                         value.is_string() ? value.get<std::string>() : value.dump(), " (",
                         fixed.is, ")"));
  for (const char* name : kHarmless) args.taken(name);
  args.finish();
  return c;
}

}  // namespace vit22b
