#include <algorithm>
#include <mutex>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"
#include "data/samplers/replacement.h"

namespace vit22b {
namespace {

/// The order of the shards in one epoch.
struct Epoch {
  uint64_t number = 0;
  std::vector<size_t> shards;
  std::vector<int64_t> begins;  ///< of each in the epoch, and its end
};

class Windowed : public Sampler {
 public:
  Windowed(std::vector<int64_t> sizes, int64_t window, uint64_t seed)
      : sizes_(std::move(sizes)),
        first_(sizes_.size()),
        window_(window),
        seed_(seed),
        replacements_(seed) {
    VIT22B_CHECK(
        window_ > 0 && !sizes_.empty() && *std::min_element(sizes_.begin(), sizes_.end()) > 0,
        "windowed_sampler: an empty shard or window");
    std::exclusive_scan(sizes_.begin(), sizes_.end(), first_.begin(), int64_t{0});
    total_ = first_.back() + sizes_.back();
  }

  SampleAddress at(uint64_t global_index) const override {
    const Window window = window_of(global_index);
    const RandomPermutation order(
        static_cast<uint64_t>(window.size), seed_,
        concat("epoch ", window.epoch, " window ", window.begin / window_));
    const auto place = static_cast<uint64_t>(window.place - window.begin);
    return {0, sample_of(window.epoch, window.begin + static_cast<int64_t>(order(place)))};
  }

  /// Of the same window, which is at hand.
  SampleAddress instead_of(uint64_t global_index, uint64_t attempt) const override {
    const Window window = window_of(global_index);
    return {0, sample_of(window.epoch,
                         window.begin + replacements_.draw(global_index, attempt, window.size))};
  }

 private:
  /// The stretch of an epoch's order that a sample is in, and its place in the epoch.
  struct Window {
    uint64_t epoch;
    int64_t place, begin, size;
  };

  Window window_of(uint64_t global_index) const {
    const auto total = static_cast<uint64_t>(total_);
    const auto place = static_cast<int64_t>(global_index % total);
    const int64_t begin = place / window_ * window_;
    return {global_index / total, place, begin, std::min(window_, total_ - begin)};
  }

  /// The sample at a place of an epoch's order of shards.
  int64_t sample_of(uint64_t number, int64_t place) const {
    const std::shared_ptr<const Epoch> epoch = epoch_of(number);
    const auto behind = std::upper_bound(epoch->begins.begin(), epoch->begins.end(), place);
    const auto shard = static_cast<size_t>(behind - epoch->begins.begin()) - 1;
    return first_[epoch->shards[shard]] + place - epoch->begins[shard];
  }

  /// Made once an epoch; threads are in two at most.
  std::shared_ptr<const Epoch> epoch_of(uint64_t number) const {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<const Epoch>& kept = epochs_[number % 2];
    if (kept == nullptr || kept->number != number) kept = made(number);
    return kept;
  }

  std::shared_ptr<const Epoch> made(uint64_t number) const {
    auto epoch = std::make_shared<Epoch>();
    epoch->number = number;
    const RandomPermutation order(sizes_.size(), seed_, concat("epoch ", number, " shards"));
    int64_t begin = 0;
    for (size_t i = 0; i < sizes_.size(); ++i) {
      epoch->shards.push_back(order(i));
      epoch->begins.push_back(begin);
      begin += sizes_[epoch->shards.back()];
    }
    return epoch;
  }

  std::vector<int64_t> sizes_, first_;  ///< by shard
  int64_t window_, total_ = 0;
  uint64_t seed_;
  Replacements replacements_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Epoch> epochs_[2];
};

}  // namespace

std::unique_ptr<Sampler> windowed_sampler(std::vector<int64_t> shard_sizes, int64_t window,
                                          uint64_t seed) {
  return std::make_unique<Windowed>(std::move(shard_sizes), window, seed);
}

}  // namespace vit22b
