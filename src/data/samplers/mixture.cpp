#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "data/samplers/replacement.h"

namespace vit22b {
namespace {

class Mixture : public Sampler {
 public:
  Mixture(std::vector<MixedSource> sources, uint64_t seed)
      : sources_(std::move(sources)), seed_(seed), replacements_(seed) {
    VIT22B_CHECK(!sources_.empty(), "mixture_sampler: no sources");
    double sum = 0;
    for (const MixedSource& source : sources_) {
      VIT22B_CHECK(source.num_samples > 0 && source.weight > 0 && std::isfinite(source.weight),
                   "mixture_sampler: ", source.num_samples, " samples of weight ", source.weight);
      sum += source.weight;
    }
    for (MixedSource& source : sources_) {
      source.weight /= sum;
      VIT22B_CHECK(source.weight > 0, "mixture_sampler: a weight is too small beside the others");
    }
  }

  SampleAddress at(uint64_t global_index) const override {
    const auto [source, number] = turn(global_index);
    return {source, sample_at(number, of(source).num_samples, seed_of(source))};
  }

  /// Of the same source, so that its part stays.
  SampleAddress instead_of(uint64_t global_index, uint64_t attempt) const override {
    const int64_t source = turn(global_index).source;
    return {source, replacements_.draw(global_index, attempt, of(source).num_samples)};
  }

 private:
  /// A source's turn, and which of its turns it is.
  struct Turn {
    int64_t source;
    uint64_t number;
  };

  const MixedSource& of(int64_t source) const { return sources_[static_cast<size_t>(source)]; }
  /// The first source has the order that it would have alone.
  uint64_t seed_of(int64_t source) const { return seed_ + static_cast<uint64_t>(source); }

  double time_of(size_t source, uint64_t number) const {
    return (static_cast<double>(number) + 0.5) / sources_[source].weight;
  }

  /// As time_of orders them, however its quotients are rounded.
  uint64_t turns_before(size_t source, double time) const {
    auto number = static_cast<uint64_t>(time * sources_[source].weight);
    while (number > 0 && time_of(source, number - 1) >= time) --number;
    while (time_of(source, number) < time) ++number;
    return number;
  }

  /// Sample m of a source has the time (m + 1/2) / weight; the earliest comes first, of equal ones
  /// the first source's. At the time t each source has had about t weight of its turns.
  Turn turn(uint64_t global_index) const {
    // The turns before a time that is too early for the one that is asked for, then one by one.
    const double before =
        std::max(0.0, static_cast<double>(global_index) - static_cast<double>(sources_.size()));
    std::vector<uint64_t> had;
    uint64_t count = 0;
    for (size_t i = 0; i < sources_.size(); ++i) {
      had.push_back(turns_before(i, before));
      count += had.back();
    }
    while (true) {
      size_t next = 0;
      double earliest = 0;
      for (size_t i = 0; i < sources_.size(); ++i) {
        const double time = time_of(i, had[i]);
        if (i > 0 && time >= earliest) continue;
        earliest = time;
        next = i;
      }
      if (count == global_index) return {static_cast<int64_t>(next), had[next]};
      ++had[next];
      ++count;
    }
  }

  std::vector<MixedSource> sources_;  ///< weights add to 1
  uint64_t seed_;
  Replacements replacements_;
};

}  // namespace

std::unique_ptr<Sampler> mixture_sampler(std::vector<MixedSource> sources, uint64_t seed) {
  return std::make_unique<Mixture>(std::move(sources), seed);
}

}  // namespace vit22b
