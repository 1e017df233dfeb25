#include "data/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

namespace vit22b {
namespace {

std::vector<int64_t> order(const Sampler& sampler, uint64_t first, uint64_t count) {
  std::vector<int64_t> indices;
  for (uint64_t g = first; g < first + count; ++g) indices.push_back(sampler.at(g).index);
  return indices;
}

std::set<int64_t> set_of(const std::vector<int64_t>& indices) {
  return {indices.begin(), indices.end()};
}

TEST(UniformSampler, EachEpochHasEverySampleOnce) {
  const auto sampler = uniform_sampler(37, 3);
  for (uint64_t epoch = 0; epoch < 3; ++epoch)
    EXPECT_EQ(set_of(order(*sampler, 37 * epoch, 37)).size(), 37U);
  EXPECT_NE(order(*sampler, 0, 37), order(*sampler, 37, 37));
  EXPECT_NE(order(*sampler, 0, 37), order(*uniform_sampler(37, 4), 0, 37));
}

TEST(WindowedSampler, EachEpochHasEverySampleOnceAndReadsAWindowOfShardsAtATime) {
  const std::vector<int64_t> sizes = {5, 1, 17, 8, 3, 11};  // 45
  constexpr int64_t kWindow = 7;
  const auto sampler = windowed_sampler(sizes, kWindow, 9);
  for (uint64_t epoch = 0; epoch < 4; ++epoch)
    EXPECT_EQ(set_of(order(*sampler, 45 * epoch, 45)).size(), 45U);
  EXPECT_NE(order(*sampler, 0, 45), order(*sampler, 45, 45));
  // A stretch of 7 samples lies in the few shards that follow each other: no sample of a shard
  // comes after the next shard but one has begun.
  std::map<int64_t, std::pair<uint64_t, uint64_t>> seen;  // first and last place, by shard
  for (uint64_t g = 0; g < 45; ++g) {
    int64_t index = sampler->at(g).index, shard = 0;
    while (index >= sizes[static_cast<size_t>(shard)]) index -= sizes[static_cast<size_t>(shard++)];
    seen.try_emplace(shard, g, g).first->second.second = g;
  }
  for (const auto& [shard, places] : seen)
    EXPECT_LT(places.second - places.first,
              static_cast<uint64_t>(sizes[static_cast<size_t>(shard)] + 2 * kWindow));
}

TEST(WindowedSampler, IsAFunctionOfTheIndexInAnyOrder) {
  const auto sampler = windowed_sampler({4, 9, 2}, 4, 1), other = windowed_sampler({4, 9, 2}, 4, 1);
  std::vector<int64_t> backwards;
  for (uint64_t g = 60; g-- > 0;) backwards.insert(backwards.begin(), other->at(g).index);
  EXPECT_EQ(order(*sampler, 0, 60), backwards);
  for (uint64_t attempt = 1; attempt < 5; ++attempt)
    EXPECT_EQ(sampler->instead_of(17, attempt), other->instead_of(17, attempt));
}

TEST(MixtureSampler, EachSourceHasItsPartAndItsOwnEpochs) {
  const std::vector<MixedSource> sources = {{10, 5}, {7, 2.5}, {3, 1.7}, {4, 0.8}};
  const auto sampler = mixture_sampler(sources, 2);
  std::vector<std::vector<int64_t>> seen(sources.size());
  double largest = 0;
  for (uint64_t g = 0; g < 5000; ++g) {
    const SampleAddress address = sampler->at(g);
    seen[static_cast<size_t>(address.source)].push_back(address.index);
    for (size_t i = 0; i < sources.size(); ++i)
      largest = std::max(largest, std::abs(static_cast<double>(seen[i].size()) -
                                           static_cast<double>(g + 1) * sources[i].weight / 10));
  }
  EXPECT_LT(largest, 1.5);
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto size = static_cast<size_t>(sources[i].num_samples);
    for (size_t epoch = 0; (epoch + 1) * size <= seen[i].size(); ++epoch)
      ASSERT_EQ(std::set<int64_t>(seen[i].begin() + static_cast<int64_t>(epoch * size),
                                  seen[i].begin() + static_cast<int64_t>((epoch + 1) * size))
                    .size(),
                size)
          << i << " " << epoch;
  }
}

TEST(MixtureSampler, OfTwoIsWithinOneSampleAndOfOneIsUniform) {
  const auto two = mixture_sampler({{100, 2}, {100, 1}}, 0);
  double had = 0;
  for (uint64_t g = 0; g < 1000; ++g) {
    had += two->at(g).source == 1 ? 1 : 0;
    ASSERT_LE(std::abs(had - static_cast<double>(g + 1) / 3), 1.0) << g;
  }
  EXPECT_EQ(order(*mixture_sampler({{19, 0.3}}, 5), 0, 60), order(*uniform_sampler(19, 5), 0, 60));
}

TEST(MixtureSampler, WhatStandsInForABadSampleIsOfItsSource) {
  const auto sampler = mixture_sampler({{5, 1}, {5, 3}}, 1);
  for (uint64_t g = 0; g < 50; ++g)
    EXPECT_EQ(sampler->instead_of(g, 2).source, sampler->at(g).source);
}

}  // namespace
}  // namespace vit22b
