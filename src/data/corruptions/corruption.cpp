#include "data/corruptions/corruption.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "core/text.h"
#include "data/corruptions/effects.h"
#include "data/decode.h"
#include "data/encode.h"
#include "data/image_ops.h"
#include "data/resample.h"

namespace vit22b {
namespace {

using corruption::Chance;
using corruption::Picture;
using corruption::Plane;

constexpr int64_t kSeverities = 5;
constexpr int64_t kLeastSide = 8;  // pixels

// A grey picture is written in colours, and read as grey.
at::Tensor jpeg_compression(const at::Tensor& image_HWC, int64_t severity) {
  constexpr int kQuality[] = {25, 18, 15, 10, 7};
  const bool is_grey = image_HWC.size(2) == 1;
  const std::string bytes = encode_jpeg(to_rgb(image_HWC), kQuality[severity]);
  const at::Tensor read = decode_image(
      {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "a compressed picture");
  return is_grey ? to_gray(read) : read;
}

at::Tensor pixelate(const at::Tensor& image_HWC, int64_t severity) {
  constexpr double kShare[] = {.6, .5, .4, .3, .25};
  const auto part = [&](int64_t side) {
    return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(side) * kShare[severity]));
  };
  const int64_t height = image_HWC.size(0), width = image_HWC.size(1);
  return resample_pil(resample_pil(image_HWC, part(height), part(width), "box"), height, width,
                      "nearest");
}

struct Kind {
  const char* name;
  const char* group;
  void (*effect)(Picture&, int64_t, const Chance&) = nullptr;
  at::Tensor (*of_bytes)(const at::Tensor&, int64_t) = nullptr;
};

// The one list of corruptions.
constexpr Kind kKinds[] = {
    {"gaussian_noise", "noise", corruption::gaussian_noise},
    {"shot_noise", "noise", corruption::shot_noise},
    {"impulse_noise", "noise", corruption::impulse_noise},
    {"defocus_blur", "blur", corruption::defocus_blur},
    {"glass_blur", "blur", corruption::glass_blur},
    {"motion_blur", "blur", corruption::motion_blur},
    {"zoom_blur", "blur", corruption::zoom_blur},
    {"snow", "weather", corruption::snow},
    {"frost", "weather", corruption::frost},
    {"fog", "weather", corruption::fog},
    {"brightness", "weather", corruption::brightness},
    {"contrast", "digital", corruption::contrast},
    {"elastic_transform", "digital", corruption::elastic_transform},
    {"pixelate", "digital", nullptr, pixelate},
    {"jpeg_compression", "digital", nullptr, jpeg_compression},
    {"speckle_noise", "extra", corruption::speckle_noise},
    {"gaussian_blur", "extra", corruption::gaussian_blur},
    {"saturate", "extra", corruption::saturate},
    {"spatter", "extra", corruption::spatter},
};

const Kind& kind_of(const std::string& name) {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) {
    if (name == kind.name) return kind;
    names.emplace_back(kind.name);
  }
  throw UsageError("there is no corruption '", name, "'", did_you_mean(name, names), "; there are ",
                   join(names, ", "));
}

Picture picture_of(const at::Tensor& image_HWC) {
  const at::Tensor pixels = image_HWC.contiguous();
  const auto* data = pixels.const_data_ptr<uint8_t>();
  const auto channels = static_cast<size_t>(pixels.size(2));
  Picture picture(channels, Plane(pixels.size(0), pixels.size(1)));
  for (size_t i = 0; i < picture[0].data.size(); ++i)
    for (size_t c = 0; c < channels; ++c)
      picture[c].data[i] = static_cast<float>(data[channels * i + c]) / 255;
  return picture;
}

at::Tensor bytes_of(Picture picture) {
  // Bytes are cut off; what rounding took from a whole number is no reason.
  constexpr float kRounding = 1e-3F;
  corruption::clip(picture);
  const size_t channels = picture.size();
  at::Tensor image =
      at::empty({picture[0].height, picture[0].width, static_cast<int64_t>(channels)}, at::kByte);
  auto* data = image.mutable_data_ptr<uint8_t>();
  for (size_t i = 0; i < picture[0].data.size(); ++i)
    for (size_t c = 0; c < channels; ++c)
      data[channels * i + c] = static_cast<uint8_t>(picture[c].data[i] * 255 + kRounding);
  return image;
}

}  // namespace

std::vector<Corruption> corruptions() {
  std::vector<Corruption> all;
  for (const Kind& kind : kKinds) all.push_back({kind.name, kind.group});
  return all;
}

at::Tensor corrupted(const at::Tensor& image_HWC, const std::string& name, int64_t severity,
                     uint64_t draw) {
  VIT22B_CHECK(image_HWC.dim() == 3 && (image_HWC.size(2) == 1 || image_HWC.size(2) == 3) &&
                   image_HWC.scalar_type() == at::kByte,
               "corrupted: want uint8 [H, W, 1 or 3], not ", image_HWC.sizes());
  const Kind& kind = kind_of(name);
  if (severity < 1 || severity > kSeverities)
    throw UsageError("severity ", severity, " of ", name, ": want 1 to ", kSeverities);
  if (std::min(image_HWC.size(0), image_HWC.size(1)) < kLeastSide)
    throw DataError("a picture of ", image_HWC.size(0), " x ", image_HWC.size(1),
                    " pixels is too small to be corrupted; want ", kLeastSide, " x ", kLeastSide);
  if (kind.of_bytes != nullptr) return kind.of_bytes(image_HWC, severity - 1);
  const std::string stream = concat("corruption/", name, "/", severity);
  const Chance chance{CounterRng(draw, stream, "uniform"), CounterRng(draw, stream, "normal")};
  Picture picture = picture_of(image_HWC);
  kind.effect(picture, severity - 1, chance);
  return bytes_of(std::move(picture));
}

}  // namespace vit22b
