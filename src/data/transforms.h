#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/sample.h"
#include "data/tokenizer.h"

namespace vit22b {

/// big_vision's preprocessing mini-language:
/// "decode|inception_crop(224)|flip_lr|value_range(-1,1)".
///
/// decode[(orient)]             the picture's bytes; orient turns it as its EXIF data say
/// rgb, gray                    three channels or one; gray is ITU-R 601 luma
/// resize(h[,w][,method])       to h x w, or h x h
/// resize_small(s[,method])     the short side to s, in the picture's shape
/// resize_cover(h[,w][,method]) the smallest of the picture's shape that covers h x w
/// resize_multiple(h,w,m[,method]) in the picture's shape to h or w, whichever changes it less,
/// each
///                              side to the nearest multiple of m: DPT's and Depth Anything's
/// resize_fit(h[,w][,method])   the largest of the picture's shape that fits in h x w
/// central_crop(h[,w])          the corner rounded down
/// crop_or_pad(h[,w][,c...])    torchvision's: the corner rounded half to even, filled with the
///                              colours c (0 to 255; 0 where absent) where the picture is smaller
/// random_crop(h[,w]), inception_crop(size[,area_min[,area_max]]),
/// inception_crop(h,w,area_min,area_max), flip_lr, random_gray(percent), random_invert(percent)
/// random_crop_or_pad(h[,w])    a place by one draw; filled below and on the right where smaller
/// random_scale(low,high[,method]) both sides times one factor
/// photometric                  brightness, contrast, saturation and hue, each in half of the
///                              pictures: mmsegmentation's PhotoMetricDistortion
/// value_range(low,high), normalize(means...,stddevs...)
///
/// Methods: bilinear (default) and bicubic, antialiased, equal to PIL's within one level. With
/// `pil` behind them (resize_small(248,bicubic,pil)) they are PIL's byte for byte, with
/// torchvision's rounding (the long side cut), and so are nearest, box, hamming and lanczos: what
/// imported checkpoints use. tokenize(length) draws one of the sample's captions and writes its
/// tokens to "text".
///
/// Each operation acts on the field "image", or takes inkey="..." and outkey="...", or
/// keys="image,mask": what it does to the place of pixels it does to all fields named there, under
/// one draw, as their kinds want it (classes and depth take the nearest pixel). They have to be of
/// one size then. Where the pixels come from stays with each field (data/geometry.h: put_back).
class Transforms {
 public:
  /// tokenizer  what `tokenize` uses; null where there is none
  /// throws     UsageError naming the operation, its place and the nearest name
  explicit Transforms(const std::string& text, uint64_t seed = 0,
                      const std::shared_ptr<const Tokenizer>& tokenizer = nullptr);
  ~Transforms();
  Transforms(Transforms&&) noexcept;

  /// Runs all operations; draws are keyed by (seed, global index, operation).
  ///
  /// throws  DataError naming the sample
  void operator()(Sample& sample, uint64_t global_index) const;
  const std::string& text() const { return text_; }

 private:
  struct Operation;
  std::string text_;
  std::vector<std::unique_ptr<Operation>> operations_;
};

}  // namespace vit22b
