#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>

namespace vit22b {

/// A picture's name, and how large it may be: what a few bytes announce must not fill the memory.
struct PictureLimit {
  const std::string& name;
  int64_t max_pixels;

  static constexpr int64_t kMaxSide = 65'535;
  bool takes(int64_t width, int64_t height) const;
  /// throws  DataError for a side or an area above the limits, or an empty picture
  void check(int64_t width, int64_t height) const;
};

/// One decoder a file format, each giving what PIL's convert("RGB") or convert("L") gives: uint8
/// [H, W, C], C 1 for grey pictures and 3 otherwise, alpha dropped without blending.
///
/// limit   whose name is for messages
/// throws  DataError for damage, lost data, or more pixels than the limit's check takes

/// Warnings pass where no data are lost; CMYK by Adobe's inverted inks, as PIL takes all of them.
at::Tensor decode_jpeg(std::span<const uint8_t> bytes, const PictureLimit& limit);
/// 1 to 16 bits, of which 16 keep the high byte; palettes; no chunk changes a tone.
at::Tensor decode_png(std::span<const uint8_t> bytes, const PictureLimit& limit);
/// The grey values or the palette's indices as they lie, int32 [H, W, 1]; colours are refused.
at::Tensor decode_png_values(std::span<const uint8_t> bytes, const PictureLimit& limit);
/// Palettes, 16 bits, bit fields; run-length compression is refused by name.
at::Tensor decode_bmp(std::span<const uint8_t> bytes, const PictureLimit& limit);
/// The first picture on the whole screen; around a smaller one it has the transparent colour, or
/// the first.
at::Tensor decode_gif(std::span<const uint8_t> bytes, const PictureLimit& limit);
/// The first picture, turned as it says: grey of 1, 8 and 16 bits, RGB of 8 and 16, palettes, in
/// strips of any compression; other kinds are refused by name.
at::Tensor decode_tiff(std::span<const uint8_t> bytes, const PictureLimit& limit);
/// An animation gives its first frame.
at::Tensor decode_webp(std::span<const uint8_t> bytes, const PictureLimit& limit);

}  // namespace vit22b
