#include "core/rng.h"

#include <bit>
#include <cmath>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

VIT22B_INLINE void bits_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t* out) {
  uint32_t words[4][kLanes];
  philox(seed, stream, counter, words);
  for (int i = 0; i < kLanes; ++i)
    for (int w = 0; w < 4; ++w) out[4 * i + w] = words[w][i];
}

// In place; exact up to the last product.
VIT22B_INLINE void make_symmetric(float* unit, size_t count, float bound) {
  for (size_t i = 0; i < count; ++i) unit[i] = (2.0F * unit[i] - 1.0F) * bound;
}

VIT22B_INLINE void uniform_block(uint64_t seed, uint64_t stream, uint64_t counter, float* out) {
  uint32_t words[4 * kLanes];
  bits_block(seed, stream, counter, words);
  for (int i = 0; i < 4 * kLanes; ++i) out[i] = unit_float(words[i]);
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
void symmetric_scalar(float* unit, size_t count, float bound) {
  make_symmetric(unit, count, bound);
}
#if defined(__x86_64__)
#define VIT22B_AVX2 __attribute__((target("avx2")))

VIT22B_AVX2 void normal_block_avx2(uint64_t seed, uint64_t stream, uint64_t counter, float* out) {
  normal_block(seed, stream, counter, out);
}
VIT22B_AVX2 void bits_block_avx2(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t* out) {
  bits_block(seed, stream, counter, out);
}
VIT22B_AVX2 void uniform_block_avx2(uint64_t seed, uint64_t stream, uint64_t counter, float* out) {
  uniform_block(seed, stream, counter, out);
}

VIT22B_AVX2 void symmetric_avx2(float* unit, size_t count, float bound) {
  make_symmetric(unit, count, bound);
}

#define VIT22B_AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl")))

VIT22B_AVX512 void normal_block_avx512(uint64_t seed, uint64_t stream, uint64_t counter,
                                       float* out) {
  normal_block(seed, stream, counter, out);
}

/// 16 products of 64 bits, as their high and their low words.
struct WideProduct {
  __m512i high, low;
};

VIT22B_AVX512 VIT22B_INLINE WideProduct wide_product(__m512i a, __m512i b) {
  constexpr __mmask16 kOdd = 0xAAAA;
  const __m512i even = _mm512_mul_epu32(a, b);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), b);
  return {_mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), kOdd, odd),
          _mm512_mask_mov_epi32(even, kOdd, _mm512_slli_epi64(odd, 32))};
}

VIT22B_AVX512 VIT22B_INLINE __m512i broadcast(uint64_t word) {
  return _mm512_set1_epi32(static_cast<int>(static_cast<uint32_t>(word)));
}

// bits_block with each counter's four words in one lane of four vectors. Counters are dealt to
// lanes so that unpacking leaves the words in element order.
VIT22B_AVX512 VIT22B_INLINE void bits_of_lanes(uint64_t seed, uint64_t stream, uint64_t counter,
                                               __m512i out[4]) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  __m512i w0 = _mm512_add_epi32(broadcast(counter), order), w1 = broadcast(counter >> 32),
          w2 = broadcast(stream), w3 = broadcast(stream >> 32);
  w1 = _mm512_mask_add_epi32(w1, _mm512_cmplt_epu32_mask(w0, order), w1, _mm512_set1_epi32(1));
  constexpr int kXor3 = 0x96;
  auto key0 = static_cast<uint32_t>(seed);
  auto key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kRounds; ++round) {
    const WideProduct p0 = wide_product(w0, broadcast(kPhiloxMul0)),
                      p1 = wide_product(w2, broadcast(kPhiloxMul1));
    w0 = _mm512_ternarylogic_epi32(p1.high, w1, broadcast(key0), kXor3);
    w1 = p1.low;
    w2 = _mm512_ternarylogic_epi32(p0.high, w3, broadcast(key1), kXor3);
    w3 = p0.low;
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
  const __m512i a = _mm512_unpacklo_epi32(w0, w1), b = _mm512_unpackhi_epi32(w0, w1),
                c = _mm512_unpacklo_epi32(w2, w3), d = _mm512_unpackhi_epi32(w2, w3);
  out[0] = _mm512_unpacklo_epi64(a, c);
  out[1] = _mm512_unpackhi_epi64(a, c);
  out[2] = _mm512_unpacklo_epi64(b, d);
  out[3] = _mm512_unpackhi_epi64(b, d);
}

VIT22B_AVX512 void bits_block_avx512(uint64_t seed, uint64_t stream, uint64_t counter,
                                     uint32_t* out) {
  __m512i words[4];
  bits_of_lanes(seed, stream, counter, words);
  for (const __m512i& word : words) {
    _mm512_storeu_si512(out, word);
    out += kLanes;
  }
}

VIT22B_AVX512 void uniform_block_avx512(uint64_t seed, uint64_t stream, uint64_t counter,
                                        float* out) {
  __m512i words[4];
  bits_of_lanes(seed, stream, counter, words);
  for (const __m512i& word : words) {
    _mm512_storeu_ps(out, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32(word, 8)),
                                        _mm512_set1_ps(0x1p-24F)));
    out += kLanes;
  }
}
VIT22B_AVX512 void symmetric_avx512(float* unit, size_t count, float bound) {
  make_symmetric(unit, count, bound);
}
#endif

/// The block functions of one instruction set.
struct Path {
  BlockFunction<uint32_t> bits;
  BlockFunction<float> uniform, normal;
  void (*symmetric)(float* unit, size_t count, float bound);
};

Path path(CounterRng::Isa isa) {
  using Isa = CounterRng::Isa;
#if defined(__x86_64__)
  if (isa == Isa::kAvx512 || (isa == Isa::kBest && CounterRng::has(Isa::kAvx512)))
    return {bits_block_avx512, uniform_block_avx512, normal_block_avx512, symmetric_avx512};
  if (isa == Isa::kAvx2 || (isa == Isa::kBest && CounterRng::has(Isa::kAvx2)))
    return {bits_block_avx2, uniform_block_avx2, normal_block_avx2, symmetric_avx2};
#endif
  return {bits_block_scalar, uniform_block_scalar, normal_block_scalar, symmetric_scalar};
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

void CounterRng::fill_bits(std::span<uint32_t> out, uint64_t first, Isa isa) const {
  fill(path(isa).bits, seed_, stream_hash_, out, first);
}

void CounterRng::fill_uniform(std::span<float> out, uint64_t first, Isa isa) const {
  fill(path(isa).uniform, seed_, stream_hash_, out, first);
}

void CounterRng::fill_symmetric(std::span<float> out, uint64_t first, float bound, Isa isa) const {
  const Path chosen = path(isa);
  fill(chosen.uniform, seed_, stream_hash_, out, first);
  chosen.symmetric(out.data(), out.size(), bound);
}

void CounterRng::fill_normal(std::span<float> out, uint64_t first, Isa isa) const {
  fill(path(isa).normal, seed_, stream_hash_, out, first);
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
