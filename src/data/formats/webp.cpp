#include <ATen/ATen.h>
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "core/error.h"
#include "data/formats/formats.h"

namespace vit22b {
namespace {

at::Tensor decode_still(std::span<const uint8_t> bytes, const WebPBitstreamFeatures& features,
                        const std::string& name) {
  at::Tensor image = at::empty({features.height, features.width, 3}, at::kByte);
  if (WebPDecodeRGBInto(bytes.data(), bytes.size(), image.mutable_data_ptr<uint8_t>(),
                        static_cast<size_t>(image.numel()), features.width * 3) == nullptr)
    throw DataError(name, " is a damaged WebP");
  return image;
}

/// The whole canvas at the first frame; around a smaller frame it is black.
at::Tensor decode_first_frame(std::span<const uint8_t> bytes, const PictureLimit& limit) {
  const std::string& name = limit.name;
  const WebPData data{bytes.data(), bytes.size()};
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(
      WebPAnimDecoderNew(&data, nullptr), WebPAnimDecoderDelete);
  uint8_t* canvas = nullptr;
  int timestamp = 0;
  WebPAnimInfo info{};
  if (decoder == nullptr || WebPAnimDecoderGetInfo(decoder.get(), &info) == 0)
    throw DataError(name, " is a damaged WebP animation");
  limit.check(info.canvas_width, info.canvas_height);
  if (WebPAnimDecoderGetNext(decoder.get(), &canvas, &timestamp) == 0)
    throw DataError(name, " is a damaged WebP animation: its first frame cannot be read");
  return at::from_blob(canvas, {info.canvas_height, info.canvas_width, 4}, at::kByte)
      .slice(2, 0, 3)
      .clone(at::MemoryFormat::Contiguous);
}

}  // namespace

at::Tensor decode_webp(std::span<const uint8_t> bytes, const PictureLimit& limit) {
  const std::string& name = limit.name;
  WebPBitstreamFeatures features{};
  if (WebPGetFeatures(bytes.data(), bytes.size(), &features) != VP8_STATUS_OK)
    throw DataError(name, " is no valid WebP");
  limit.check(features.width, features.height);
  return features.has_animation != 0 ? decode_first_frame(bytes, limit)
                                     : decode_still(bytes, features, name);
}

}  // namespace vit22b
