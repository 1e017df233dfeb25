#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vit22b {

/// Version of what decoding and transforms make of a picture's bytes: part of every cache's key.
/// Raised by whoever changes a pixel.
constexpr int kPixelsVersion = 2;

/// What a plain evaluation transform does: decode, a resize, a central crop, a scale. The mini-
/// language's text (data/transforms.h) in the form in which programs read and change it.
///
/// source  timm data/transforms_factory.py transforms_imagenet_eval, whose crop modes it holds
struct Preprocessing {
  enum class Resize {
    kNone,       ///< pictures have their size already
    kSquash,     ///< to resize_height x resize_width
    kShortSide,  ///< the short side to resize_height, which is resize_width
    kCover,      ///< the smallest of the picture's shape that covers resize_height x resize_width
    kMultiple,   ///< the picture's shape at about one of the sides, to multiples of resize_multiple
    kFit,        ///< the largest of the picture's shape that fits in resize_height x resize_width
  };
  enum class Crop {
    kNone,
    kCentral,  ///< central_crop: the corner rounded down, no picture smaller than the crop
    kOrPad,  ///< crop_or_pad: torchvision's, the corner rounded half to even, filled where smaller
  };

  int64_t channels = 0;  ///< 3 rgb, 1 gray, 0 as the picture has them
  bool orients = false;  ///< decode(orient): turned as its EXIF data say
  Resize resize = Resize::kNone;
  int64_t resize_height = 0, resize_width = 0;
  int64_t resize_multiple = 1;
  std::string interpolation = "bilinear";
  bool is_pil = false;  ///< PIL's integer arithmetic and torchvision's rounding of sides
  Crop crop = Crop::kNone;
  int64_t crop_height = 0, crop_width = 0;
  std::vector<double> fill;  ///< of crop_or_pad, 0 to 255: one value, one a channel, or none for 0
  /// (pixel / 255 - mean) / stddev: one value, or one a channel.
  std::vector<double> mean, stddev;
  bool is_value_range = false;  ///< written as value_range(low,high)

  /// The transform in the mini-language; parsing it gives the same fields.
  std::string text() const;
  /// The result's sides; 0 where they depend on the picture.
  int64_t height() const;
  int64_t width() const;
  /// Its last operation, value_range(…) or normalize(…), for transforms that begin otherwise.
  std::string scale_text() const;
  /// timm's crop_pct: floor(side / crop_pct) is what is resized to, for both sides; nothing where
  /// no number says so. 1 where nothing is cropped.
  std::optional<double> crop_pct() const;
  /// timm's crop_mode (center, squash, border); nothing where none does the same.
  std::optional<std::string> crop_mode() const;
  /// Resizes to floor(side of the crop / pct), as crop_pct says; the short side where both are
  /// equal.
  void resize_to(double pct);
  /// timm's colours around a picture that is fitted in: the mean's, as bytes.
  std::vector<double> border_colours() const;
  /// Another size of the result, the same crop_pct.
  ///
  /// throws  UsageError where the crop is none that crop_pct says
  void set_size(int64_t height, int64_t width);
  /// Another crop_pct, the same size of the result.
  ///
  /// throws  UsageError where pct is not above 0 and at most 10, or there is no resize
  void set_crop_pct(double pct);
};

/// Reads a transform's text; nothing where it is no plain evaluation transform: draws, other keys,
/// another order, words that the language lacks.
std::optional<Preprocessing> parse_preprocessing(const std::string& text);

}  // namespace vit22b
