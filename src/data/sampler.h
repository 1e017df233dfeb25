#pragma once
#include <cstdint>
#include <memory>
#include <vector>

namespace vit22b {

/// A sample of one of several sources.
struct SampleAddress {
  int64_t source = 0, index = 0;
  bool operator==(const SampleAddress&) const = default;
};

/// Which sample each place of the endless training order has: a function of (seed, global index)
/// alone, so that a run's place in its data is one integer. Of several threads at a time.
class Sampler {
 public:
  virtual ~Sampler() = default;
  virtual SampleAddress at(uint64_t global_index) const = 0;
  /// What stands in for a sample that cannot be used.
  ///
  /// attempt  1, 2, ... until one can be
  virtual SampleAddress instead_of(uint64_t global_index, uint64_t attempt) const = 0;
};

/// How often a bad sample is replaced by another before its place stays empty.
constexpr uint64_t kReplacementTries = 16;

/// Each epoch a permutation of all samples of one source.
std::unique_ptr<Sampler> uniform_sampler(int64_t num_samples, uint64_t seed);
/// The sample that it has: see uniform_sampler.
int64_t sample_at(uint64_t global_index, int64_t num_samples, uint64_t seed);

/// One source in shards that are read best one after the other: each epoch is a permutation of the
/// shards, and a permutation within each stretch of `window` samples of that order.
///
/// shard_sizes  samples of each, in the source's order; none 0
std::unique_ptr<Sampler> windowed_sampler(std::vector<int64_t> shard_sizes, int64_t window,
                                          uint64_t seed);

/// A source of a mixture.
struct MixedSource {
  int64_t num_samples = 0;
  double weight = 1;  ///< its part of all samples is weight / sum of weights
};
/// Several sources, each in its own epochs of uniform_sampler, one after the other in the order of
/// the times (m + 1/2) / weight of their samples m: after n samples each has had n times its part
/// to within half a sample and its part of half a sample a source.
std::unique_ptr<Sampler> mixture_sampler(std::vector<MixedSource> sources, uint64_t seed);

}  // namespace vit22b
