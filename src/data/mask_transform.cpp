#include "data/mask_transform.h"

#include <algorithm>
#include <array>
#include <vector>

#include "core/error.h"
#include "data/sources/mask_folder.h"
#include "data/transform_call.h"

namespace vit22b {
namespace {

constexpr std::array kFixed = {"resize",          "resize_small", "resize_cover", "resize_fit",
                               "resize_multiple", "central_crop", "crop_or_pad"};
constexpr std::array kOfPixels = {"decode", "rgb", "gray", "value_range", "normalize"};
constexpr std::array kDrawn = {"random_crop", "random_crop_or_pad", "random_scale",
                               "inception_crop", "flip_lr"};

template <class Names>
bool is_among(const std::string& name, const Names& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool sees_image(const TransformCall& call) {
  return std::find(call.keys.begin(), call.keys.end(), kImageField) != call.keys.end();
}

/// The call with other fields.
std::string text_of(const TransformCall& call, const std::string& keys) {
  std::vector<std::string> arguments = call.arguments;
  arguments.push_back(concat("keys=\"", keys, "\""));
  return concat(call.name, "(", join(arguments, ","), ")");
}

}  // namespace

std::string with_mask(const std::string& transform) {
  return with_field(transform, kMaskField);
}

std::string with_field(const std::string& transform, const std::string& field) {
  std::vector<std::string> parts;
  for (const std::string& part : split(transform, '|')) {
    const TransformCall call = parse_transform_call(trim(part));
    const bool moves = is_among(call.name, kFixed) || is_among(call.name, kDrawn);
    parts.push_back(moves && call.is_of_image() ? text_of(call, concat(kImageField, ",", field))
                                                : trim(part));
  }
  return join(parts, "|");
}

std::optional<std::string> fixed_mask_transform(const std::string& transform) {
  std::vector<std::string> parts;
  for (const std::string& part : split(transform, '|')) {
    const TransformCall call = parse_transform_call(trim(part));
    if (is_among(call.name, kFixed) && sees_image(call))
      parts.push_back(text_of(call, kMaskField));
    else if (!is_among(call.name, kOfPixels))
      return std::nullopt;
  }
  // A transform that moves nothing does nothing to masks.
  if (parts.empty()) parts.push_back(concat("decode(keys=\"", kMaskField, "\")"));
  return join(parts, "|");
}

}  // namespace vit22b
