#pragma once
#include "data/corruptions/picture.h"

/// What each corruption does to a picture, 0 to 1, which is clipped and turned to bytes afterwards.
/// `severity` counts from 0.
namespace vit22b::corruption {

/// What red, green and blue are as grey.
constexpr float grey_of(float red, float green, float blue) {
  return 0.299F * red + 0.587F * green + 0.114F * blue;
}

/// A colour, for each plane of a picture: its grey where the picture has none.
inline std::vector<float> colour_of(const Picture& picture, float red, float green, float blue) {
  if (picture.size() == 1) return {grey_of(red, green, blue)};
  return {red, green, blue};
}

/// The random numbers of one corruption of one picture: uniform and normal ones have streams of
/// their own.
struct Chance {
  CounterRng uniform, normal;
};

// Noise.
void gaussian_noise(Picture& picture, int64_t severity, const Chance& chance);
void shot_noise(Picture& picture, int64_t severity, const Chance& chance);
void impulse_noise(Picture& picture, int64_t severity, const Chance& chance);
void speckle_noise(Picture& picture, int64_t severity, const Chance& chance);
// Blur.
void defocus_blur(Picture& picture, int64_t severity, const Chance& chance);
void glass_blur(Picture& picture, int64_t severity, const Chance& chance);
void motion_blur(Picture& picture, int64_t severity, const Chance& chance);
void zoom_blur(Picture& picture, int64_t severity, const Chance& chance);
void gaussian_blur(Picture& picture, int64_t severity, const Chance& chance);
// Weather.
void snow(Picture& picture, int64_t severity, const Chance& chance);
void frost(Picture& picture, int64_t severity, const Chance& chance);
void fog(Picture& picture, int64_t severity, const Chance& chance);
void spatter(Picture& picture, int64_t severity, const Chance& chance);
// What cameras and files do.
void brightness(Picture& picture, int64_t severity, const Chance& chance);
void saturate(Picture& picture, int64_t severity, const Chance& chance);
void contrast(Picture& picture, int64_t severity, const Chance& chance);
void elastic_transform(Picture& picture, int64_t severity, const Chance& chance);

}  // namespace vit22b::corruption
