#include "kernels/cpu/pixel_scores.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/pixel_scores.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vit22b::cpu::HWY_NAMESPACE {

// What e^x makes 0 of, whatever the largest score is.
constexpr float kNoScore = -1e30F;

// out = a + share (b - a), n a multiple of the vector's length.
HWY_INLINE void interpolate(const float* a, const float* b, float share, int64_t n, float* out) {
  const Float d;
  const V s = hn::Set(d, share);
  for (int64_t j = 0; j < n; j += lanes()) {
    const V first = hn::LoadU(d, a + j);
    hn::StoreU(hn::MulAdd(s, hn::Sub(hn::LoadU(d, b + j), first), first), d, out + j);
  }
}

// The scores that padded rows hold become a pixel's, then its probabilities; returns their log-sum.
HWY_INLINE float softmax_between(const float* a, const float* b, float share, int64_t n,
                                 float* scores) {
  const Float d;
  const V s = hn::Set(d, share);
  V largest = hn::Set(d, kNoScore);
  for (int64_t j = 0; j < n; j += lanes()) {
    const V first = hn::LoadU(d, a + j);
    const V score = hn::MulAdd(s, hn::Sub(hn::LoadU(d, b + j), first), first);
    largest = hn::Max(largest, score);
    hn::StoreU(score, d, scores + j);
  }
  const float maximum = hn::GetLane(hn::MaxOfLanes(d, largest));
  const V centre = hn::Set(d, maximum);
  V sum = hn::Zero(d);
  for (int64_t j = 0; j < n; j += lanes()) {
    const V e = exponential(hn::Sub(hn::LoadU(d, scores + j), centre));
    sum = hn::Add(sum, e);
    hn::StoreU(e, d, scores + j);
  }
  const float total = hn::GetLane(hn::SumOfLanes(d, sum));
  const V scale = hn::Set(d, 1 / total);
  for (int64_t j = 0; j < n; j += lanes())
    hn::StoreU(hn::Mul(hn::LoadU(d, scores + j), scale), d, scores + j);
  return maximum + std::log(total);
}

// Adds (1 - share) x to a and share x to b, which may be the same.
HWY_INLINE void share_out(const float* x, float share, int64_t n, float* a, float* b) {
  const Float d;
  const V to_b = hn::Set(d, share), to_a = hn::Set(d, 1 - share);
  for (int64_t j = 0; j < n; j += lanes()) {
    const V v = hn::LoadU(d, x + j);
    hn::StoreU(hn::MulAdd(to_a, v, hn::LoadU(d, a + j)), d, a + j);
    hn::StoreU(hn::MulAdd(to_b, v, hn::LoadU(d, b + j)), d, b + j);
  }
}

// What a row of pixels works with; rows of places are padded to whole vectors.
struct PixelRow {
  int64_t padded, width;
  std::vector<float> places;    // [width, padded]: scores at this row's height
  std::vector<float> gradient;  // [width, padded]
  std::vector<float> pixel;     // [padded]
};

HWY_INLINE double row_loss(const PixelScores& p, const int32_t* labels, PixelRow& row) {
  double loss = 0;
  const auto columns = static_cast<int64_t>(p.across.first.size());
  const Float d;
  for (int64_t x = 0; x < columns; ++x) {
    const int32_t label = labels[x];
    if (label < 0) continue;
    const auto at = static_cast<size_t>(x);
    const int64_t first = p.across.first[at] * row.padded,
                  second = p.across.second[at] * row.padded;
    const float share = p.across.share[at];
    const float* a = row.places.data() + first;
    const float* b = row.places.data() + second;
    float* said = row.pixel.data();
    const float own = a[label] + share * (b[label] - a[label]);
    const float log_sum = softmax_between(a, b, share, row.padded, said);
    const float weight = p.class_weights == nullptr ? 1 : p.class_weights[label];
    loss += static_cast<double>(weight * (log_sum - own));
    said[label] -= 1;
    const V scale = hn::Set(d, weight * p.gradient_scale);
    for (int64_t j = 0; j < row.padded; j += lanes())
      hn::StoreU(hn::Mul(hn::LoadU(d, said + j), scale), d, said + j);
    share_out(said, share, row.padded, row.gradient.data() + first, row.gradient.data() + second);
  }
  return loss;
}

// Scores of places: [height, width, classes].
struct Places {
  const float* scores;
  int64_t width, classes;
};

// Scores at the height of a row of pixels, padded to whole vectors.
HWY_INLINE void interpolate_places(const Places& places, const Between& down, int64_t y, float* row,
                                   int64_t padded) {
  const int64_t width = places.width, classes = places.classes;
  const auto at = static_cast<size_t>(y);
  const float* a = places.scores + down.first[at] * width * classes;
  const float* b = places.scores + down.second[at] * width * classes;
  const float share = down.share[at];
  for (int64_t i = 0; i < width; ++i) {
    float* out = row + i * padded;
    int64_t j = 0;
    for (; j + lanes() <= classes; j += lanes())
      interpolate(a + i * classes + j, b + i * classes + j, share, lanes(), out + j);
    for (; j < classes; ++j) {
      const float first = a[i * classes + j];
      out[j] = first + share * (b[i * classes + j] - first);
    }
  }
}

HWY_INLINE void return_gradient(const PixelScores& p, int64_t y, const PixelRow& row) {
  const auto at = static_cast<size_t>(y);
  float* a = p.gradient + p.down.first[at] * p.width * p.classes;
  float* b = p.gradient + p.down.second[at] * p.width * p.classes;
  const float share = p.down.share[at];
  for (int64_t i = 0; i < p.width; ++i)
    for (int64_t j = 0; j < p.classes; ++j) {
      const float g = row.gradient[static_cast<size_t>(i * row.padded + j)];
      a[i * p.classes + j] += (1 - share) * g;
      b[i * p.classes + j] += share * g;
    }
}

double pixel_loss_impl(const PixelScores& p) {
  const int64_t padded = (p.classes + lanes() - 1) / lanes() * lanes();
  PixelRow row{padded, p.width, std::vector<float>(static_cast<size_t>(p.width * padded), kNoScore),
               std::vector<float>(static_cast<size_t>(p.width * padded)),
               std::vector<float>(static_cast<size_t>(padded))};
  double loss = 0;
  const auto rows = static_cast<int64_t>(p.down.first.size()),
             columns = static_cast<int64_t>(p.across.first.size());
  for (int64_t y = 0; y < rows; ++y) {
    const int32_t* labels = p.labels + y * columns;
    if (std::all_of(labels, labels + columns, [](int32_t label) { return label < 0; })) continue;
    interpolate_places({p.scores, p.width, p.classes}, p.down, y, row.places.data(), padded);
    std::fill(row.gradient.begin(), row.gradient.end(), 0.0F);
    loss += row_loss(p, labels, row);
    return_gradient(p, y, row);
  }
  return loss;
}

// The place of the largest of a pixel's padded scores.
HWY_INLINE int32_t largest_between(const float* a, const float* b, float share, int64_t n) {
  const Float d;
  const Int di;
  const V s = hn::Set(d, share);
  V largest = hn::Set(d, kNoScore);
  auto places = hn::Zero(di);
  for (int64_t j = 0; j < n; j += lanes()) {
    const V first = hn::LoadU(d, a + j);
    const V score = hn::MulAdd(s, hn::Sub(hn::LoadU(d, b + j), first), first);
    const auto is_larger = hn::Gt(score, largest);
    largest = hn::IfThenElse(is_larger, score, largest);
    places = hn::IfThenElse(hn::RebindMask(di, is_larger), hn::Iota(di, static_cast<int32_t>(j)),
                            places);
  }
  const V maximum = hn::MaxOfLanes(d, largest);
  const auto is_largest = hn::RebindMask(di, hn::Eq(largest, maximum));
  const auto last = hn::Set(di, INT32_MAX);
  return hn::GetLane(hn::MinOfLanes(di, hn::IfThenElse(is_largest, places, last)));
}

void pixel_classes_impl(const ClassRows& p) {
  const int64_t padded = (p.classes + lanes() - 1) / lanes() * lanes();
  std::vector<float> places(static_cast<size_t>(p.width * padded), kNoScore);
  const auto columns = static_cast<int64_t>(p.across.first.size());
  for (int64_t row = 0; row < p.rows; ++row) {
    interpolate_places({p.scores, p.width, p.classes}, p.down, p.first_row + row, places.data(),
                       padded);
    for (int64_t x = 0; x < columns; ++x) {
      const auto at = static_cast<size_t>(x);
      p.result[row * columns + x] =
          largest_between(places.data() + p.across.first[at] * padded,
                          places.data() + p.across.second[at] * padded, p.across.share[at], padded);
    }
  }
}

}  // namespace vit22b::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vit22b::cpu {

HWY_EXPORT(pixel_loss_impl);

double pixel_loss(const PixelScores& picture) {
  return HWY_DYNAMIC_DISPATCH(pixel_loss_impl)(picture);
}

HWY_EXPORT(pixel_classes_impl);

void pixel_classes(const ClassRows& rows) {
  HWY_DYNAMIC_DISPATCH(pixel_classes_impl)(rows);
}

}  // namespace vit22b::cpu
#endif
