#include "core/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace vit22b {
namespace {

std::vector<float> normals(const CounterRng& rng, size_t count, uint64_t first) {
  std::vector<float> out(count);
  rng.fill_normal(out, first);
  return out;
}

TEST(Philox, MatchesRandom123KnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32(0, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32(~0ULL, ~0ULL, ~0ULL),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(CounterRng, AnyPartAloneEqualsTheWhole) {
  const CounterRng rng(1, "init", "blocks.0.in_proj.weight");
  const std::vector<float> whole = normals(rng, 1009, 0);
  for (const auto& [first, count] :
       {std::pair<uint64_t, size_t>{0, 1}, {1, 7}, {3, 64}, {517, 131}, {1008, 1}}) {
    const std::vector<float> part = normals(rng, count, first);
    for (size_t i = 0; i < count; ++i) ASSERT_EQ(part[i], whole[first + i]) << first << " + " << i;
  }
}

TEST(CounterRng, EveryIsaGivesEqualBits) {
  using Isa = CounterRng::Isa;
  const CounterRng rng(3, "init", "x");
  constexpr size_t kCount = 100'003;
  // The second range crosses the point where a counter's low word overflows.
  for (const uint64_t first : {uint64_t{5}, (uint64_t{4} << 32) - 4 * 7 - 1}) {
    std::vector<uint32_t> bits(kCount), other_bits(kCount);
    std::vector<float> uniform(kCount), normal(kCount), other(kCount);
    rng.fill_bits(bits, first, Isa::kScalar);
    rng.fill_uniform(uniform, first, Isa::kScalar);
    rng.fill_normal(normal, first, Isa::kScalar);
    std::vector<float> symmetric(kCount);
    rng.fill_symmetric(symmetric, first, 0.3F, Isa::kScalar);
    for (const size_t i : {size_t{0}, size_t{1}, size_t{29}, size_t{63}, kCount - 1}) {
      EXPECT_EQ(bits[i], rng.bits(first + i)) << i;
      EXPECT_EQ(uniform[i], rng.uniform(first + i)) << i;
      EXPECT_EQ(symmetric[i], (2 * uniform[i] - 1) * 0.3F) << i;
    }
    for (const Isa isa : {Isa::kAvx2, Isa::kAvx512, Isa::kBest}) {
      if (!CounterRng::has(isa)) continue;
      rng.fill_bits(other_bits, first, isa);
      EXPECT_EQ(bits, other_bits) << static_cast<int>(isa);
      rng.fill_uniform(other, first, isa);
      EXPECT_EQ(uniform, other) << static_cast<int>(isa);
      rng.fill_symmetric(other, first, 0.3F, isa);
      EXPECT_EQ(symmetric, other) << static_cast<int>(isa);
      rng.fill_normal(other, first, isa);
      EXPECT_EQ(normal, other) << static_cast<int>(isa);
    }
  }
}

TEST(CounterRng, NormalsHaveTheMomentsOfANormal) {
  constexpr size_t kCount = 1'000'000;
  double mean = 0, square = 0, fourth = 0, largest = 0;
  for (const float v : normals(CounterRng(0, "init", "m"), kCount, 0)) {
    mean += v;
    square += double{v} * v;
    fourth += std::pow(v, 4);
    largest = std::max(largest, std::abs(double{v}));
  }
  // 5 standard errors of each moment over 10^6 samples.
  EXPECT_NEAR(mean / kCount, 0, 5e-3);
  EXPECT_NEAR(square / kCount, 1, 7.1e-3);
  EXPECT_NEAR(fourth / kCount, 3, 4.9e-2);
  EXPECT_GT(largest, 4.2);
  EXPECT_LT(largest, 5.9);  // sqrt(-2 ln 2^-24) = 5.77 is the largest there can be
}

TEST(CounterRng, NormalsMatchBoxMullerInDouble) {
  const CounterRng rng(9, "init", "n");
  const std::vector<float> values = normals(rng, 4096, 0);
  for (uint64_t i = 0; i < 4096; i += 2) {
    const double u = (static_cast<double>(rng.bits(i) >> 8) + 1) * 0x1p-24,
                 v = static_cast<double>(rng.bits(i + 1) >> 8) * 0x1p-24;
    const double radius = std::sqrt(-2 * std::log(u));
    EXPECT_NEAR(values[i], radius * std::cos(2 * M_PI * v), 4e-6);  // 8 ulp at the largest radius
    EXPECT_NEAR(values[i + 1], radius * std::sin(2 * M_PI * v), 4e-6);
  }
}

TEST(CounterRng, SeedsStreamsAndNamesAreIndependent) {
  const uint32_t base = CounterRng(1, "init", "a").bits(0);
  EXPECT_NE(base, CounterRng(2, "init", "a").bits(0));
  EXPECT_NE(base, CounterRng(1, "order", "a").bits(0));
  EXPECT_NE(base, CounterRng(1, "init", "b").bits(0));
}

TEST(RandomPermutation, IsABijectionOfAnySize) {
  for (const uint64_t size : {1u, 2u, 3u, 17u, 256u, 1009u}) {
    const RandomPermutation order(size, 5, "epoch 0");
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < size; ++i) seen.insert(order(i));
    EXPECT_EQ(seen.size(), size);
    EXPECT_EQ(*seen.rbegin(), size - 1);
  }
}

TEST(RandomPermutation, SpreadsNeighbours) {
  const RandomPermutation order(10'000, 5, "epoch 0");
  double distance = 0;
  for (uint64_t i = 0; i + 1 < 10'000; ++i)
    distance += std::abs(static_cast<double>(order(i)) - static_cast<double>(order(i + 1)));
  EXPECT_NEAR(distance / 9'999, 10'000.0 / 3,
              150);  // a third of the range, as for independent draws
}

}  // namespace
}  // namespace vit22b
