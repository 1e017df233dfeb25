#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/rng.h"
#include "data/sample.h"
#include "data/tokenizer.h"

namespace vit22b {

/// The random numbers of one transform on one sample: the same for every field it acts on.
class Draw {
 public:
  Draw(const CounterRng& rng, uint64_t global_index)
      : rng_(rng), first_(global_index * kPerSample) {}
  /// Uniform in [0, 1); k < 64.
  float uniform(uint64_t k) const { return rng_.uniform(first_ + k); }

 private:
  static constexpr uint64_t kPerSample = 64;
  const CounterRng& rng_;
  uint64_t first_;
};

/// big_vision's preprocessing mini-language:
/// "decode|inception_crop(224)|flip_lr|value_range(-1,1)".
///
/// Operations: decode, resize(h[,w][,method]), resize_small(s[,method]), central_crop(h[,w]),
/// random_crop(h[,w]), inception_crop(size[,area_min,area_max]), flip_lr, random_gray(percent),
/// random_invert(percent) (of bytes), value_range(low,high), normalize(means...,stddevs...), gray,
/// rgb. Methods: bilinear (default) and bicubic, antialiased, equal to PIL's within one level.
/// tokenize(length) draws one of the sample's captions and writes its tokens to "text". Each
/// operation also takes inkey="..." and outkey="...", "image" by default.
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
