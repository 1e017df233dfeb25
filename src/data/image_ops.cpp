#include "data/image_ops.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/error.h"
#include "data/decode.h"
#include "data/exif.h"
#include "data/resample.h"

namespace vit22b {

// Room for any picture that a model takes; a picture of 16384 x 1 would grow to gigabytes.
constexpr int64_t kMaxResizedPixels = int64_t{1} << 26;

at::Tensor resize_image(const at::Tensor& image_HWC, int64_t height, int64_t width,
                        const ResizeMethod& method) {
  if (image_HWC.size(0) == height && image_HWC.size(1) == width) return image_HWC;
  if (height * width > kMaxResizedPixels)
    throw DataError("an image of ", image_HWC.size(0), " x ", image_HWC.size(1),
                    " is too thin: resized it has ", height, " x ", width, " pixels, want at most ",
                    kMaxResizedPixels);
  if (method.is_pil) return resample_pil(image_HWC, height, width, method.name);
  const at::Tensor planes =
      image_HWC.contiguous().permute({2, 0, 1}).unsqueeze(0);  // channels-last in memory
  const at::Tensor resized = method.name == "bicubic"
                                 ? at::_upsample_bicubic2d_aa(planes, {height, width}, false)
                                 : at::_upsample_bilinear2d_aa(planes, {height, width}, false);
  return resized.squeeze(0).permute({1, 2, 0}).contiguous();
}

at::Tensor crop_image(const at::Tensor& image_HWC, const CropBox& box) {
  if (box.top < 0 || box.left < 0 || box.top + box.height > image_HWC.size(0) ||
      box.left + box.width > image_HWC.size(1))
    throw DataError("a crop of ", box.height, " x ", box.width, " does not fit an image of ",
                    image_HWC.size(0), " x ", image_HWC.size(1), "; put resize_small before it");
  return image_HWC.slice(0, box.top, box.top + box.height).slice(1, box.left, box.left + box.width);
}

at::Tensor crop_or_pad(const at::Tensor& image_HWC, int64_t height, int64_t width,
                       const std::vector<double>& fill) {
  const int64_t channels = image_HWC.size(2);
  if (fill.size() > 1 && static_cast<int64_t>(fill.size()) != channels)
    throw DataError("crop_or_pad has ", fill.size(), " colours, the image has ", channels,
                    " channels");
  // Where the result's first pixel lies in the image, or the image's in the result.
  const auto offset = [](int64_t room) {
    return room < 0 ? -(-room / 2) : std::llrint(static_cast<double>(room) / 2);
  };
  const int64_t top = offset(image_HWC.size(0) - height), left = offset(image_HWC.size(1) - width);
  const int64_t rows = std::min(height, image_HWC.size(0)),
                columns = std::min(width, image_HWC.size(1));
  const CropBox box{std::max<int64_t>(0, top), std::max<int64_t>(0, left), rows, columns};
  if (rows == height && columns == width) return crop_image(image_HWC, box);
  const at::Tensor colour = fill.empty() ? at::zeros({1}) : at::tensor(fill);
  at::Tensor result = colour.to(image_HWC.scalar_type()).expand({height, width, channels}).clone();
  result.slice(0, box.top - top, box.top - top + rows)
      .slice(1, box.left - left, box.left - left + columns)
      .copy_(crop_image(image_HWC, box));
  return result;
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
  const auto channels = static_cast<size_t>(image_HWC.size(2));
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
  if (image_HWC.size(2) == 1) return image_HWC;
  const auto luma = [](const at::Tensor& image, const at::Scalar& r, const at::Scalar& g,
                       const at::Scalar& b) {
    return (image.select(2, 0) * r + image.select(2, 1) * g + image.select(2, 2) * b).unsqueeze(2);
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

at::Tensor to_rgb(const at::Tensor& image_HWC) {
  return image_HWC.size(2) == 1 ? image_HWC.expand({-1, -1, 3}).contiguous() : image_HWC;
}

void decode_sample(Sample& sample, const std::string& key, bool is_oriented) {
  at::Tensor image = decode_image(sample.encoded, sample.id, sample.max_pixels);
  sample.fields[key] = is_oriented ? turned(image, exif_orientation(sample.encoded)) : image;
  std::vector<uint8_t>().swap(sample.encoded);  // clear() would keep the memory
}

}  // namespace vit22b
