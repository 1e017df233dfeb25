#include "core/rng.h"

#include <bit>
#include <cmath>

namespace vit22b {
namespace {

#define VIT22B_INLINE inline __attribute__((always_inline))

constexpr uint32_t kPhiloxMul0 = 0xD2511F53,
                   kPhiloxMul1 = 0xCD9E8D57;  // Salmon et al. 2011, table 2
constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9, kPhiloxWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;
constexpr int kLanes = 16;  // counters worked on together, so that the compiler can use vectors

uint64_t fnv1a(std::string_view text, uint64_t hash = 0xcbf29ce484222325ULL) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

VIT22B_INLINE uint32_t high_word(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>((static_cast<uint64_t>(a) * b) >> 32);
}

// words[w][lane] of kLanes successive counters.
VIT22B_INLINE void philox(uint64_t seed, uint64_t stream, uint64_t counter,
                          uint32_t words[4][kLanes]) {
  for (int i = 0; i < kLanes; ++i) {
    const uint64_t c = counter + static_cast<uint64_t>(i);
    words[0][i] = static_cast<uint32_t>(c);
    words[1][i] = static_cast<uint32_t>(c >> 32);
    words[2][i] = static_cast<uint32_t>(stream);
    words[3][i] = static_cast<uint32_t>(stream >> 32);
  }
  auto key0 = static_cast<uint32_t>(seed);
  auto key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kLanes; ++i) {
      const uint32_t high0 = high_word(kPhiloxMul0, words[0][i]), low0 = kPhiloxMul0 * words[0][i];
      const uint32_t high1 = high_word(kPhiloxMul1, words[2][i]), low1 = kPhiloxMul1 * words[2][i];
      words[0][i] = high1 ^ words[1][i] ^ key0;
      words[1][i] = low1;
      words[2][i] = high0 ^ words[3][i] ^ key1;
      words[3][i] = low0;
    }
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
}

VIT22B_INLINE float unit_float(uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24F;
}

// Natural logarithm of u in (0, 1]: u = m 2^e with m in [0.707, 1.414), ln m = 2 atanh((m-1)/(m+1))
// by its series. The first term left out is 2 z^5 s / 11 < 1e-9.
VIT22B_INLINE float log_polynomial(float u) {
  const int32_t raw = std::bit_cast<int32_t>(u);
  const int32_t exponent = (raw - 0x3F3504F3) >> 23;
  const float m = std::bit_cast<float>(raw - exponent * (1 << 23));
  const float s = (m - 1.0F) / (m + 1.0F);
  const float z = s * s;
  const float series = 1.0F + z * (1.0F / 3 + z * (1.0F / 5 + z * (1.0F / 7 + z * (1.0F / 9))));
  return 2.0F * s * series + static_cast<float>(exponent) * 0.69314718F;
}

// cos and sin of 2 pi v for v in [0, 1): v = q/4 + r with |r| <= 1/8, Taylor polynomials of degree
// 8 and 9 in 2 pi r (error < 4e-8), then the quarter turn.
VIT22B_INLINE void turn(float v, float& cosine, float& sine) {
  // v is not negative, and a call to lround would not vectorise.
  // NOLINTNEXTLINE(bugprone-incorrect-roundings)
  const auto q = static_cast<int32_t>(v * 4.0F + 0.5F);
  const float x = (v - static_cast<float>(q) * 0.25F) * 6.2831853F;
  const float z = x * x;
  const float c = 1.0F + z * (-1.0F / 2 + z * (1.0F / 24 + z * (-1.0F / 720 + z * (1.0F / 40320))));
  const float s =
      x * (1.0F + z * (-1.0F / 6 + z * (1.0F / 120 + z * (-1.0F / 5040 + z * (1.0F / 362880)))));
  const bool is_swapped = (q & 1) != 0;
  const float first = is_swapped ? s : c;
  const float second = is_swapped ? c : s;
  cosine = ((q + 1) & 2) != 0 ? -first : first;
  sine = (q & 2) != 0 ? -second : second;
}

// 4 * kLanes normals of kLanes successive counters, in element order.
VIT22B_INLINE void normal_block(uint64_t seed, uint64_t stream, uint64_t counter, float* out) {
  uint32_t words[4][kLanes];
  philox(seed, stream, counter, words);
  float normals[4][kLanes];
  for (int pair = 0; pair < 4; pair += 2) {
    for (int i = 0; i < kLanes; ++i) {
      const float u = unit_float(words[pair][i]) + 0x1p-24F;  // (0, 1]
      const float radius = std::sqrt(-2.0F * log_polynomial(u));
      float cosine = 0, sine = 0;
      turn(unit_float(words[pair + 1][i]), cosine, sine);
      normals[pair][i] = radius * cosine;
      normals[pair + 1][i] = radius * sine;
    }
  }
  for (int i = 0; i < kLanes; ++i)
    for (int w = 0; w < 4; ++w) out[4 * i + w] = normals[w][i];
}

VIT22B_INLINE void uniform_block(uint64_t seed, uint64_t stream, uint64_t counter, float* out) {
  uint32_t words[4][kLanes];
  philox(seed, stream, counter, words);
  for (int i = 0; i < kLanes; ++i)
    for (int w = 0; w < 4; ++w) out[4 * i + w] = unit_float(words[w][i]);
}

VIT22B_INLINE void bits_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t* out) {
  uint32_t words[4][kLanes];
  philox(seed, stream, counter, words);
  for (int i = 0; i < kLanes; ++i)
    for (int w = 0; w < 4; ++w) out[4 * i + w] = words[w][i];
}

template <class T>
using BlockFunction = void (*)(uint64_t, uint64_t, uint64_t, T*);

void bits_block_scalar(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t* out) {
  bits_block(seed, stream, counter, out);
}
void normal_block_scalar(uint64_t seed, uint64_t stream, uint64_t counter, float* out) {
  normal_block(seed, stream, counter, out);
}
void uniform_block_scalar(uint64_t seed, uint64_t stream, uint64_t counter, float* out) {
  uniform_block(seed, stream, counter, out);
}
#if defined(__x86_64__)
__attribute__((target("avx2"))) void normal_block_avx2(uint64_t seed, uint64_t stream,
                                                       uint64_t counter, float* out) {
  normal_block(seed, stream, counter, out);
}
__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl"))) void normal_block_avx512(
    uint64_t seed, uint64_t stream, uint64_t counter, float* out) {
  normal_block(seed, stream, counter, out);
}
__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl"))) void bits_block_avx512(
    uint64_t seed, uint64_t stream, uint64_t counter, uint32_t* out) {
  bits_block(seed, stream, counter, out);
}
#endif

BlockFunction<uint32_t> bits_path() {
#if defined(__x86_64__)
  if (CounterRng::has(CounterRng::Isa::kAvx512)) return bits_block_avx512;
#endif
  return bits_block_scalar;
}

BlockFunction<float> normal_path(CounterRng::Isa isa) {
  using Isa = CounterRng::Isa;
#if defined(__x86_64__)
  if (isa == Isa::kAvx512 || (isa == Isa::kBest && CounterRng::has(Isa::kAvx512)))
    return normal_block_avx512;
  if (isa == Isa::kAvx2 || (isa == Isa::kBest && CounterRng::has(Isa::kAvx2)))
    return normal_block_avx2;
#endif
  return normal_block_scalar;
}

// Runs a block function over any range: the first and last block go through a buffer.
template <class T>
void fill(BlockFunction<T> block, uint64_t seed, uint64_t stream, std::span<T> out,
          uint64_t first) {
  constexpr uint64_t kBlock = uint64_t{4} * kLanes;
  T buffer[kBlock];
  size_t done = 0;
  while (done < out.size()) {
    const uint64_t element = first + done;
    const uint64_t offset = element % 4;
    const uint64_t counter = element / 4;
    if (offset == 0 && out.size() - done >= kBlock) {
      block(seed, stream, counter, out.data() + done);
      done += kBlock;
      continue;
    }
    block(seed, stream, counter, buffer);
    for (uint64_t i = offset; i < kBlock && done < out.size(); ++i) out[done++] = buffer[i];
  }
}

}  // namespace

std::array<uint32_t, 4> philox4x32(uint64_t key, uint64_t counter_high, uint64_t counter_low) {
  uint32_t words[4][kLanes];
  philox(key, counter_high, counter_low, words);
  return {words[0][0], words[1][0], words[2][0], words[3][0]};
}

CounterRng::CounterRng(uint64_t seed, std::string_view stream, std::string_view name)
    : seed_(seed), stream_hash_(fnv1a(name, fnv1a("/", fnv1a(stream)))) {}

uint32_t CounterRng::bits(uint64_t index) const {
  return philox4x32(seed_, stream_hash_, index / 4)[index % 4];
}

float CounterRng::uniform(uint64_t index) const {
  return unit_float(bits(index));
}

uint64_t CounterRng::below(uint64_t index, uint64_t bound) const {
  const uint64_t wide = (static_cast<uint64_t>(bits(2 * index)) << 32) | bits(2 * index + 1);
  return static_cast<uint64_t>((static_cast<unsigned __int128>(wide) * bound) >> 64);
}

void CounterRng::fill_bits(std::span<uint32_t> out, uint64_t first) const {
  static const BlockFunction<uint32_t> kPath = bits_path();
  fill(kPath, seed_, stream_hash_, out, first);
}

void CounterRng::fill_uniform(std::span<float> out, uint64_t first) const {
  fill<float>(uniform_block_scalar, seed_, stream_hash_, out, first);
}

void CounterRng::fill_normal(std::span<float> out, uint64_t first) const {
  fill_normal_with(Isa::kBest, out, first);
}

void CounterRng::fill_normal_with(Isa isa, std::span<float> out, uint64_t first) const {
  fill<float>(normal_path(isa), seed_, stream_hash_, out, first);
}

bool CounterRng::has(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx2) return __builtin_cpu_supports("avx2") != 0;
  if (isa == Isa::kAvx512)
    return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
           __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0;
#endif
  return isa == Isa::kScalar || isa == Isa::kBest;
}

RandomPermutation::RandomPermutation(uint64_t size, uint64_t seed, std::string_view name)
    : size_(size), half_bits_(1), rng_(seed, "permutation", name) {
  while ((uint64_t{1} << (2 * half_bits_)) < size_) ++half_bits_;
}

// A balanced Feistel network on 2 * half_bits_ bits, walked until it lands inside the range (at
// most 4 tries expected).
uint64_t RandomPermutation::operator()(uint64_t position) const {
  constexpr int kFeistelRounds = 4;
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t value = position;
  do {
    uint64_t left = value >> half_bits_, right = value & mask;
    for (uint64_t round = 0; round < kFeistelRounds; ++round) {
      const uint64_t mixed = left ^ (rng_.bits(4 * ((round << 32) | right)) & mask);
      left = right;
      right = mixed;
    }
    value = (left << half_bits_) | right;
  } while (value >= size_);
  return value;
}

}  // namespace vit22b
