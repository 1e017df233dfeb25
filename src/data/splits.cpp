#include "data/splits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/letter_case.h"
#include "core/rng.h"

namespace vit22b {
namespace {

constexpr std::array kTestNames = {"test", "testing", "val", "valid", "validation", "dev", "eval"};
constexpr std::array kTrainNames = {"train", "training", "trainval"};

/// Each class's samples in a drawn order.
std::vector<std::vector<size_t>> shuffled_classes(const std::vector<int64_t>& labels,
                                                  uint64_t seed) {
  std::map<int64_t, std::vector<size_t>> classes;
  for (size_t i = 0; i < labels.size(); ++i) classes[labels[i]].push_back(i);
  std::vector<std::vector<size_t>> drawn;
  for (const auto& [label, samples] : classes) {
    const RandomPermutation order(samples.size(), seed, concat("test part of class ", label));
    std::vector<size_t>& in_order = drawn.emplace_back();
    for (uint64_t i = 0; i < samples.size(); ++i) in_order.push_back(samples[order(i)]);
  }
  return drawn;
}

}  // namespace

bool is_split_name(const std::string& name) {
  std::string stem = ascii_lower_case(name);
  stem.resize(stem.find_last_not_of("0123456789") + 1);
  return std::find(kTestNames.begin(), kTestNames.end(), stem) != kTestNames.end() ||
         std::find(kTrainNames.begin(), kTrainNames.end(), stem) != kTrainNames.end();
}

std::string test_split_among(const std::vector<std::string>& splits) {
  for (const char* name : kTestNames)
    for (const std::string& split : splits)
      if (ascii_lower_case(split) == name) return split;
  return "";
}

void check_split(const std::string& place, const std::string& split,
                 const std::vector<std::string>& splits) {
  if (std::find(splits.begin(), splits.end(), split) != splits.end()) return;
  if (splits == std::vector<std::string>{kWholeSplit})
    throw DataError(place, " has no split '", split, "': all of it is '", kWholeSplit,
                    "'; give another source, or make a test of it with --test-part 20% or --folds "
                    "5, in training with data.val=10%");
  throw DataError(place, " has no split '", split, "'; it has ", join(splits, ", "),
                  did_you_mean(split, splits));
}

std::optional<double> percent(const std::string& text) {
  const auto number = leading_number(text);
  if (!number || number->second != "%" || !(number->first > 0 && number->first < 100))
    return std::nullopt;
  return number->first / 100;
}

std::vector<bool> draw_part(const std::vector<int64_t>& labels, double part, uint64_t seed) {
  std::vector<bool> is_drawn(labels.size());
  for (const std::vector<size_t>& samples : shuffled_classes(labels, seed)) {
    const auto n = static_cast<int64_t>(samples.size());
    const int64_t wanted = std::llround(part * static_cast<double>(n));
    const int64_t count = n == 1 ? 0 : std::clamp<int64_t>(wanted, 1, n - 1);
    for (int64_t i = 0; i < count; ++i) is_drawn[samples[static_cast<size_t>(i)]] = true;
  }
  return is_drawn;
}

std::vector<int64_t> draw_folds(const std::vector<int64_t>& labels, int64_t folds, uint64_t seed) {
  VIT22B_CHECK(folds > 1, "draw_folds: ", folds, " folds");
  std::vector<int64_t> fold_of_sample(labels.size());
  int64_t next = 0;
  for (const std::vector<size_t>& samples : shuffled_classes(labels, seed))
    for (const size_t sample : samples) fold_of_sample[sample] = next++ % folds;
  return fold_of_sample;
}

}  // namespace vit22b
