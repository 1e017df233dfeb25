#include <algorithm>
#include <array>
#include <cmath>

#include "data/corruptions/effects.h"

namespace vit22b::corruption {
namespace {

constexpr int64_t kLevels = 256;  // of a byte

/// Calls with every value and a random number for it.
template <class Fill, class Act>
void each_value(Picture& picture, const Fill& fill, const Act& act) {
  std::vector<float> random;
  uint64_t first = 0;
  for (Plane& plane : picture) {
    random.resize(plane.data.size());
    fill(random, first);
    first += random.size();
    for (size_t i = 0; i < random.size(); ++i) plane.data[i] = act(plane.data[i], random[i]);
  }
}

/// How many events a Poisson process of this mean has, for a number uniform in 0 to 1: the sums of
/// its chances, searched.
class Poisson {
 public:
  explicit Poisson(double mean) {
    constexpr double kAll = 1 - 1e-9;  // beyond a uniform number's 24 bits
    double chance = std::exp(-mean), sum = chance;
    sums_.push_back(static_cast<float>(sum));
    for (int64_t k = 1; sum < kAll && k < 1000; ++k) {
      chance *= mean / static_cast<double>(k);
      sum += chance;
      sums_.push_back(static_cast<float>(sum));
    }
  }
  double draw(float uniform) const {
    return static_cast<double>(std::upper_bound(sums_.begin(), sums_.end(), uniform) -
                               sums_.begin());
  }

 private:
  std::vector<float> sums_;
};

}  // namespace

void gaussian_noise(Picture& picture, int64_t severity, const Chance& chance) {
  constexpr float kScale[] = {.08F, .12F, .18F, .26F, .38F};
  const float scale = kScale[severity];
  each_value(
      picture, [&](auto& random, uint64_t first) { chance.normal.fill_normal(random, first); },
      [&](float value, float normal) { return value + scale * normal; });
}

void speckle_noise(Picture& picture, int64_t severity, const Chance& chance) {
  constexpr float kScale[] = {.15F, .2F, .35F, .45F, .6F};
  const float scale = kScale[severity];
  each_value(
      picture, [&](auto& random, uint64_t first) { chance.normal.fill_normal(random, first); },
      [&](float value, float normal) { return value + value * scale * normal; });
}

void shot_noise(Picture& picture, int64_t severity, const Chance& chance) {
  constexpr double kPhotons[] = {60, 25, 12, 5, 3};  // of white
  const double photons = kPhotons[severity];
  std::vector<Poisson> of_level;
  for (int64_t level = 0; level < kLevels; ++level)
    of_level.emplace_back(static_cast<double>(level) / (kLevels - 1) * photons);
  each_value(
      picture, [&](auto& random, uint64_t first) { chance.uniform.fill_uniform(random, first); },
      [&](float value, float uniform) {
        const auto level = static_cast<size_t>(std::lround(value * (kLevels - 1)));
        return static_cast<float>(of_level[level].draw(uniform) / photons);
      });
}

void impulse_noise(Picture& picture, int64_t severity, const Chance& chance) {
  constexpr float kAmount[] = {.03F, .06F, .09F, .17F, .27F};
  const float amount = kAmount[severity];
  // Of the values that are hit the lower half turns black, the other white.
  each_value(
      picture, [&](auto& random, uint64_t first) { chance.uniform.fill_uniform(random, first); },
      [&](float value, float uniform) {
        if (uniform >= amount) return value;
        return uniform < amount / 2 ? 0.0F : 1.0F;
      });
}

}  // namespace vit22b::corruption
