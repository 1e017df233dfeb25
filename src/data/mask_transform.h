#pragma once
#include <optional>
#include <string>

namespace vit22b {

/// An evaluation transform of images as one that also moves the mask with them: every operation on
/// the image's place acts on both.
std::string with_mask(const std::string& transform);
/// The same with another field that moves with the image, such as "depth".
std::string with_field(const std::string& transform, const std::string& field);

/// What such a transform does to the mask alone; nothing where it draws random numbers, so that no
/// picture's view is fixed.
std::optional<std::string> fixed_mask_transform(const std::string& transform);

}  // namespace vit22b
