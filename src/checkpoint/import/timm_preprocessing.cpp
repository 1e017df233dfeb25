#include "checkpoint/import/timm_preprocessing.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "core/error.h"
#include "core/log.h"
#include "data/preprocessing.h"
#include "data/resample.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

// timm data/constants.py: what resolve_data_config takes where pretrained_cfg says nothing.
constexpr double kDefaultCropPct = 0.875;
constexpr double kImageNetMean[] = {0.485, 0.456, 0.406}, kImageNetStddev[] = {0.229, 0.224, 0.225};

/// A value, or the default where it is absent, null, zero or empty, as Python's `or` has it.
template <class T>
T value_or(const Json& json, const char* key, T otherwise) {
  if (!json.contains(key) || json.at(key).is_null()) return otherwise;
  const T value = json.at(key).get<T>();
  return value == T{} ? otherwise : value;
}

/// Means or deviations; one model channel has one, also where timm left RGB's equal three.
std::vector<double> values_or(const Json& cfg, const char* key, std::span<const double> otherwise,
                              int64_t channels) {
  const auto values = value_or<std::vector<double>>(cfg, key, {otherwise.begin(), otherwise.end()});
  const bool are_equal =
      std::count(values.begin(), values.end(), values[0]) == static_cast<ptrdiff_t>(values.size());
  return channels == 1 && are_equal ? std::vector<double>{values[0]} : values;
}

std::vector<double> per_channel(const std::vector<double>& values, int64_t channels) {
  return values.size() == 1 ? std::vector<double>(static_cast<size_t>(channels), values[0])
                            : values;
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace

std::string timm_pp_eval(const Json& cfg, const ViTConfig& c) {
  Preprocessing p;
  p.channels = c.in_chans == 1 ? 1 : 3;
  p.mean = values_or(cfg, "mean", kImageNetMean, c.in_chans);
  p.stddev = values_or(cfg, "std", kImageNetStddev, c.in_chans);
  p.interpolation = value_or<std::string>(cfg, "interpolation", "bicubic");
  if (!is_pil_method(p.interpolation))
    throw CheckpointError("pretrained_cfg's interpolation is '", p.interpolation,
                          "', want nearest, box, bilinear, hamming, bicubic or lanczos");
  p.is_pil = true;
  p.crop = Preprocessing::Crop::kOrPad;
  p.crop_height = c.img_size.height;
  p.crop_width = c.img_size.width;
  const double pct = value_or(cfg, "crop_pct", kDefaultCropPct);
  const auto mode = value_or<std::string>(cfg, "crop_mode", "center");
  p.resize = mode == "squash"   ? Preprocessing::Resize::kSquash
             : mode == "border" ? Preprocessing::Resize::kFit
                                : Preprocessing::Resize::kCover;
  p.resize_to(pct);
  if (mode == "border") p.fill = p.border_colours();
  return p.text();
}

Json timm_preprocessing(const std::string& pp_eval, const ViTConfig& c) {
  const std::optional<Preprocessing> p = parse_preprocessing(pp_eval);
  const auto is_models = [&] {
    return p->height() == 0 || (p->height() == c.img_size.height && p->width() == c.img_size.width);
  };
  std::optional<double> pct;
  std::optional<std::string> mode;
  if (p && is_models()) {
    pct = p->crop_pct();
    mode = p->crop_mode();
  }
  Json cfg = {{"interpolation", p ? Json(p->interpolation) : Json(nullptr)},
              {"crop_pct", mode ? or_null(pct) : Json(nullptr)},
              {"crop_mode", pct ? or_null(mode) : Json(nullptr)},
              {"mean", p ? Json(per_channel(p->mean, c.in_chans)) : Json(nullptr)},
              {"std", p ? Json(per_channel(p->stddev, c.in_chans)) : Json(nullptr)}};
  if (pct && mode) return cfg;
  const std::string note =
      concat("timm has no words for the transform '", pp_eval, "'; null stands for what is lost");
  log_info("config.json for timm: " + note);
  cfg["notes"] = {note};
  return cfg;
}

}  // namespace vit22b
