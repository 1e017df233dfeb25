#include "checkpoint/export/hf_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "checkpoint/import/hf.h"
#include "data/preprocessing.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

Json values_of(const std::vector<double>& values) {
  constexpr size_t kRgb = 3;
  return values.size() == 1 ? std::vector<double>(kRgb, values.front()) : values;
}

Json sides(int64_t height, int64_t width) {
  return {{"height", height}, {"width", width}};
}

// Nothing for what transformers has no words for.
std::optional<Json> preprocessor_of(const std::string& pp_eval, const char* processor) {
  const auto p = parse_preprocessing(pp_eval);
  using Resize = Preprocessing::Resize;
  if (!p || p->resize == Resize::kCover || p->resize == Resize::kFit ||
      p->resize == Resize::kMultiple)
    return std::nullopt;
  Json json = {{"image_processor_type", processor},
               {"do_convert_rgb", p->channels == 3},
               {"do_resize", p->resize != Resize::kNone}};
  if (p->resize != Resize::kNone) {
    const auto* method =
        std::find(std::begin(kResampling), std::end(kResampling), p->interpolation);
    if (method == std::end(kResampling)) return std::nullopt;
    json["size"] = p->resize == Resize::kShortSide ? Json{{"shortest_edge", p->resize_height}}
                                                   : sides(p->resize_height, p->resize_width);
    json["resample"] = method - std::begin(kResampling);
  }
  json["do_center_crop"] = p->crop != Preprocessing::Crop::kNone;
  if (p->crop != Preprocessing::Crop::kNone)
    json["crop_size"] = sides(p->crop_height, p->crop_width);
  json.update({{"do_rescale", true},
               {"rescale_factor", 1.0 / 255},
               {"do_normalize", true},
               {"image_mean", values_of(p->mean)},
               {"image_std", values_of(p->stddev)}});
  return json;
}

}  // namespace

Json hf_config(const ViTConfig& c, const char* model_type, const char* architecture) {
  return {{"architectures", {architecture}},
          {"model_type", model_type},
          {"hidden_size", c.embed_dim},
          {"intermediate_size", c.mlp_dim()},
          {"num_hidden_layers", c.depth},
          {"num_attention_heads", c.num_heads},
          {"hidden_act", hf_activation(c.mlp.act_layer)},
          {"layer_norm_eps", c.norm.norm_eps},
          {"image_size", c.img_size.height},
          {"patch_size", c.patch_size},
          {"num_channels", c.in_chans}};
}

std::map<std::string, std::string> hf_texts(const Json& config, const std::string& pp_eval,
                                            const char* processor) {
  std::map<std::string, std::string> texts = {{"config.json", config.dump(1) + "\n"}};
  if (const auto json = preprocessor_of(pp_eval, processor))
    texts["preprocessor_config.json"] = json->dump(1) + "\n";
  return texts;
}

}  // namespace vit22b
