#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace vit22b {

/// One block of Philox4x32-10: four words of the 128-bit counter (high, low) under the 64-bit key.
std::array<uint32_t, 4> philox4x32(uint64_t key, uint64_t counter_high, uint64_t counter_low);

/// Counter-based random numbers: any element of any tensor alone, equal bits on every machine and
/// mesh.
///
/// Philox4x32-10 (Salmon et al. 2011): the key is the seed, the counter is (index / 4, hash of
/// stream and name), and element `index` takes word index % 4. Words become 24-bit integers, those
/// become float32; normals are Box-Muller pairs with polynomials of this file, built without
/// contraction.
class CounterRng {
 public:
  CounterRng(uint64_t seed, std::string_view stream, std::string_view name);

  /// The key and the high half of the counter, for code that runs the generator itself.
  uint64_t seed() const { return seed_; }
  uint64_t counter_high() const { return stream_hash_; }

  /// 32 random bits for element `index`.
  uint32_t bits(uint64_t index) const;
  /// Uniform in [0, 1), a multiple of 2^-24.
  float uniform(uint64_t index) const;
  /// Uniform integer in [0, bound); bound > 0. Bias below bound / 2^64.
  uint64_t below(uint64_t index, uint64_t bound) const;

  /// Which code path fills; all give equal bits. `kBest` is what this CPU has.
  enum class Isa { kScalar, kAvx2, kAvx512, kBest };
  /// True when this CPU can run the path.
  static bool has(Isa isa);

  /// out[i] = bits(first + i).
  void fill_bits(std::span<uint32_t> out, uint64_t first, Isa isa = Isa::kBest) const;
  /// out[i] = uniform(first + i).
  void fill_uniform(std::span<float> out, uint64_t first, Isa isa = Isa::kBest) const;
  /// out[i] = (2 uniform(first + i) - 1) bound. Ranges that fit the first cache are fastest.
  void fill_symmetric(std::span<float> out, uint64_t first, float bound,
                      Isa isa = Isa::kBest) const;
  /// out[i] = standard normal number of element first + i.
  void fill_normal(std::span<float> out, uint64_t first, Isa isa = Isa::kBest) const;

 private:
  uint64_t seed_;
  uint64_t stream_hash_;
};

/// A bijection of [0, size) keyed by (seed, name): position → element, without a table, in any
/// order.
class RandomPermutation {
 public:
  RandomPermutation(uint64_t size, uint64_t seed, std::string_view name);
  uint64_t operator()(uint64_t position) const;

 private:
  uint64_t size_;
  int half_bits_;
  CounterRng rng_;
};

}  // namespace vit22b
