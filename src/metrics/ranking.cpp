#include "metrics/ranking.h"

#include <algorithm>

#include "core/rng.h"
#include "metrics/undefined.h"

namespace vit22b::metrics {
namespace {

constexpr int64_t kMostResamples = 2000, kLeastResamples = 200;
constexpr int64_t kMostDraws = int64_t{1} << 29;  // of all resamples together: some seconds

struct Scored {
  double score;
  bool is_positive;
};

}  // namespace

Ranking::Ranking(std::span<const double> positives, std::span<const double> negatives) {
  std::vector<Scored> all;
  all.reserve(positives.size() + negatives.size());
  for (const double score : positives) all.push_back({score, true});
  for (const double score : negatives) all.push_back({score, false});
  std::sort(all.begin(), all.end(),
            [](const Scored& a, const Scored& b) { return a.score > b.score; });
  for (size_t i = 0; i < all.size(); ++i) {
    if (i == 0 || all[i].score != all[i - 1].score) ties_.push_back({});
    const auto place = static_cast<uint32_t>(ties_.size() - 1);
    ++(all[i].is_positive ? ties_.back().positives : ties_.back().negatives);
    (all[i].is_positive ? places_of_positives_ : places_of_negatives_).push_back(place);
  }
}

double Ranking::auroc_of(std::span<const Tie> ties) {
  double above = 0, positives = 0, negatives = 0;
  for (const Tie& tie : ties) {
    const auto p = static_cast<double>(tie.positives), n = static_cast<double>(tie.negatives);
    above += n * (positives + p / 2);
    positives += p;
    negatives += n;
  }
  return positives > 0 && negatives > 0 ? above / (positives * negatives) : kUndefined;
}

double Ranking::auroc() const {
  return auroc_of(ties_);
}

Interval Ranking::auroc_interval(uint64_t seed) const {
  const auto positives = std::ssize(places_of_positives_),
             negatives = std::ssize(places_of_negatives_), all = positives + negatives;
  if (positives == 0 || negatives == 0) return {kUndefined, kUndefined};
  const int64_t resamples = std::clamp(kMostDraws / all, kLeastResamples, kMostResamples);
  const CounterRng rng(seed, "bootstrap", "auroc");
  std::vector<double> values(static_cast<size_t>(resamples));
  std::vector<Tie> ties(ties_.size());
  std::vector<uint32_t> bits(static_cast<size_t>(all));
  for (int64_t r = 0; r < resamples; ++r) {
    std::fill(ties.begin(), ties.end(), Tie());
    rng.fill_bits(bits, static_cast<uint64_t>(r * all));
    auto next = bits.begin();
    // 32 bits are many more than there are samples, so that all are drawn about as often.
    const auto draw = [&](const std::vector<uint32_t>& places) -> Tie& {
      return ties[places[(uint64_t{*next++} * places.size()) >> 32U]];
    };
    for (int64_t i = 0; i < positives; ++i) ++draw(places_of_positives_).positives;
    for (int64_t i = 0; i < negatives; ++i) ++draw(places_of_negatives_).negatives;
    values[static_cast<size_t>(r)] = auroc_of(ties);
  }
  return middle_of(std::move(values));
}

double Ranking::average_precision() const {
  double sum = 0, positives = 0, taken = 0;
  for (const Tie& tie : ties_) {
    positives += static_cast<double>(tie.positives);
    taken += static_cast<double>(tie.positives + tie.negatives);
    sum += static_cast<double>(tie.positives) * positives / taken;
  }
  return positives > 0 ? sum / positives : kUndefined;
}

double Ranking::false_positive_rate(double true_positive_rate) const {
  const auto positives = static_cast<double>(places_of_positives_.size()),
             negatives = static_cast<double>(places_of_negatives_.size());
  if (positives == 0 || negatives == 0) return kUndefined;
  double right = 0, wrong = 0;
  for (const Tie& tie : ties_) {
    right += static_cast<double>(tie.positives);
    wrong += static_cast<double>(tie.negatives);
    if (right >= true_positive_rate * positives) break;
  }
  return wrong / negatives;
}

}  // namespace vit22b::metrics
