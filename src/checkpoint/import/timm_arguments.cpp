#include "checkpoint/import/timm_arguments.h"

#include "checkpoint/import/timm_registry.h"
#include "core/letter_case.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

/// Arguments that change training, or sizes that a model was not trained at: not what it computes.
constexpr const char* kHarmless[] = {
    "dynamic_img_size", "dynamic_img_pad", "drop_rate",      "pos_drop_rate",  "patch_drop_rate",
    "proj_drop_rate",   "attn_drop_rate",  "drop_path_rate", "weight_init",    "fix_init",
    "out_indices",      "device",          "dtype",          "head_init_scale"};

}  // namespace

TimmArguments::TimmArguments(const TimmArgs& args)
    : place_(args.place), architecture_(args.architecture) {
  for (const std::string_view text :
       {std::string_view(args.pretrained), timm_arguments(args.architecture, args.place),
        std::string_view(args.model_args)}) {
    const Json part = Json::parse(text);
    for (const auto& [key, value] : part.items()) args_[key] = value;
  }
}

void take_sizes(TimmArguments& args, ViTConfig& c) {
  ImageSize patch{c.patch_size, c.patch_size};
  args.take_size("patch_size", patch);
  if (patch.height != patch.width)
    args.refuse(concat("patch_size=[", patch.height, ", ", patch.width, "] (patches are square)"));
  c.patch_size = patch.height;
  args.take_size("img_size", c.img_size);
  take_edge(c);
  args.take("in_chans", c.in_chans);
  args.take("num_classes", c.num_classes);
  args.take("embed_dim", c.embed_dim);
  args.take("depth", c.depth);
  args.take("num_heads", c.num_heads);
  args.take("mlp_ratio", c.mlp.mlp_ratio);
}

void take_norm(TimmArguments& args, ViTConfig& c) {
  const Json given = args.taken("norm_layer");
  if (given.is_null() || (given.is_string() && given.get<std::string>().empty())) return;
  std::string kind = given.is_object() ? given.value("kind", "") : given.get<std::string>();
  std::erase(kind, '_');
  c.norm.norm_layer = ascii_lower_case(kind);
  if (given.is_object()) c.norm.norm_eps = given.value("eps", c.norm.norm_eps);
  args.want_word("norm_layer", c.norm.norm_layer, {"layernorm", "rmsnorm"});
}

void take_harmless(TimmArguments& args) {
  for (const char* name : kHarmless) args.taken(name);
}

}  // namespace vit22b
