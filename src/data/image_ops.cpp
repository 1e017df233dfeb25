#include "data/image_ops.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/error.h"
#include "data/resample.h"

namespace vit22b {

at::Tensor resize_image(const at::Tensor& image_HWC, int64_t height, int64_t width,
                        const ResizeMethod& method) {
  if (image_HWC.size(0) == height && image_HWC.size(1) == width) return image_HWC;
  if (method.is_pil) return resample_pil(image_HWC, height, width, method.name);
  const at::Tensor planes =
      image_HWC.contiguous().permute({2, 0, 1}).unsqueeze(0);  // channels-last in memory
  const at::Tensor resized = method.name == "bicubic"
                                 ? at::_upsample_bicubic2d_aa(planes, {height, width}, false)
                                 : at::_upsample_bilinear2d_aa(planes, {height, width}, false);
  return resized.squeeze(0).permute({1, 2, 0}).contiguous();
}

CropBox inception_box(int64_t height, int64_t width, double area_min, double area_max,
                      const std::function<float(uint64_t)>& uniform) {
  constexpr double kMinAspect = 0.75, kMaxAspect = 4.0 / 3;
  constexpr uint64_t kTries = 10;
  const double area = static_cast<double>(height) * static_cast<double>(width);
  for (uint64_t attempt = 0; attempt < kTries; ++attempt) {
    const uint64_t k = 4 * attempt;
    const double target = area * (area_min + (area_max - area_min) * uniform(k));
    const double aspect = kMinAspect + (kMaxAspect - kMinAspect) * uniform(k + 1);
    const int64_t box_width = std::llround(std::sqrt(target * aspect)),
                  box_height = std::llround(std::sqrt(target / aspect));
    if (box_width < 1 || box_height < 1 || box_width > width || box_height > height) continue;
    const auto offset = [&](int64_t room, uint64_t draw) {
      return static_cast<int64_t>(uniform(draw) * static_cast<float>(room + 1));
    };
    return {offset(height - box_height, k + 2), offset(width - box_width, k + 3), box_height,
            box_width};
  }
  return {0, 0, height, width};
}

at::Tensor scale_pixels(const at::Tensor& image_HWC, const std::vector<double>& scale,
                        const std::vector<double>& shift) {
  const auto channels = static_cast<size_t>(image_HWC.size(-1));
  if (scale.size() != 1 && scale.size() != channels)
    throw DataError("normalize has ", scale.size(), " channels, the image has ", channels);
  const at::Tensor source = image_HWC.to(at::kFloat).contiguous();
  at::Tensor result = at::empty(source.sizes(), at::kFloat);
  const float* in = source.const_data_ptr<float>();
  float* out = result.mutable_data_ptr<float>();
  for (int64_t i = 0; i < source.numel(); ++i) {
    const size_t c = scale.size() == 1 ? 0 : static_cast<size_t>(i) % channels;
    out[i] = in[i] * static_cast<float>(scale[c]) + static_cast<float>(shift[c]);
  }
  return result;
}

at::Tensor to_gray(const at::Tensor& image_HWC) {
  if (image_HWC.size(-1) == 1) return image_HWC;
  const auto luma = [](const at::Tensor& image, const at::Scalar& r, const at::Scalar& g,
                       const at::Scalar& b) {
    return (image.select(-1, 0) * r + image.select(-1, 1) * g + image.select(-1, 2) * b)
        .unsqueeze(-1);
  };
  if (image_HWC.scalar_type() != at::kByte) return luma(image_HWC, 0.299, 0.587, 0.114);
  // PIL's integer form: (r * 19595 + g * 38470 + b * 7471 + 2^15) >> 16.
  return (luma(image_HWC.to(at::kInt), 19595, 38470, 7471) + 0x8000)
      .bitwise_right_shift(16)
      .to(at::kByte);
}

at::Tensor invert_pixels(const at::Tensor& image_HWC) {
  if (image_HWC.scalar_type() != at::kByte)
    throw DataError("random_invert wants bytes; put it before value_range or normalize");
  return image_HWC.bitwise_not();
}

namespace {

/// One draw of another light; 0 and 1 for what stays.
struct OtherLight {
  float brightness = 0, contrast = 1, saturation = 1, hue = 0;  ///< hue in sixths of the circle
  bool is_contrast_last = false;

  float of_level(float level) const {
    return std::clamp(std::round(contrast * level), 0.0F, 255.0F);
  }
  /// Saturation and hue of a colour of levels 0 to 255, kept at its value.
  void turn(float (&rgb)[3]) const {
    const float value = std::max({rgb[0], rgb[1], rgb[2]});
    const float chroma = value - std::min({rgb[0], rgb[1], rgb[2]});
    if (chroma <= 0) return;
    float sixth = 0;
    if (value == rgb[0])
      sixth = (rgb[1] - rgb[2]) / chroma;
    else if (value == rgb[1])
      sixth = 2 + (rgb[2] - rgb[0]) / chroma;
    else
      sixth = 4 + (rgb[0] - rgb[1]) / chroma;
    const float other = std::min(chroma * saturation, value);
    sixth += hue;
    for (const int channel : {0, 1, 2}) {
      // 5, 3 and 1 sixths are where red, green and blue begin to fall.
      const float k = std::fmod(static_cast<float>(5 - 2 * channel) + sixth + 12, 6.0F);
      rgb[channel] = std::round(value - other * std::clamp(std::min(k, 4 - k), 0.0F, 1.0F));
    }
  }
};

OtherLight drawn_light(const std::function<float(uint64_t)>& uniform) {
  constexpr float kMostBrightness = 32, kMostHue = 36.0F / 60;
  const auto is_drawn = [&](uint64_t k) { return uniform(k) < 0.5F; };
  const auto within = [&](uint64_t k, float most) { return most * (2 * uniform(k) - 1); };
  OtherLight light;
  if (is_drawn(0)) light.brightness = within(1, kMostBrightness);
  if (is_drawn(2)) light.contrast = 1 + within(3, 0.5F);
  if (is_drawn(4)) light.saturation = 1 + within(5, 0.5F);
  if (is_drawn(6)) light.hue = within(7, kMostHue);
  light.is_contrast_last = is_drawn(8);
  return light;
}

}  // namespace

at::Tensor with_other_light(const at::Tensor& image_HWC,
                            const std::function<float(uint64_t)>& uniform) {
  if (image_HWC.scalar_type() != at::kByte)
    throw DataError("photometric wants bytes; put it before value_range or normalize");
  const int64_t channels = image_HWC.size(-1);
  if (channels != 1 && channels != 3)
    throw DataError("photometric wants one channel or three, got ", channels);
  const OtherLight light = drawn_light(uniform);
  at::Tensor result = image_HWC.clone(at::MemoryFormat::Contiguous);
  auto* level = result.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < result.numel(); i += channels) {
    float rgb[3] = {};
    for (int64_t c = 0; c < channels; ++c) {
      rgb[c] =
          std::clamp(std::round(static_cast<float>(level[i + c]) + light.brightness), 0.0F, 255.0F);
      if (!light.is_contrast_last) rgb[c] = light.of_level(rgb[c]);
    }
    if (channels == 3) light.turn(rgb);
    for (int64_t c = 0; c < channels; ++c)
      level[i + c] = static_cast<uint8_t>(light.is_contrast_last ? light.of_level(rgb[c]) : rgb[c]);
  }
  return result;
}

at::Tensor to_rgb(const at::Tensor& image_HWC) {
  if (image_HWC.size(-1) != 1) return image_HWC;
  std::vector<int64_t> shape = image_HWC.sizes().vec();
  shape.back() = 3;
  return image_HWC.expand(shape).contiguous();
}

}  // namespace vit22b
