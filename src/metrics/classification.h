#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "metrics/answers.h"

namespace vit22b::metrics {

/// Share of answers whose label is among the k largest logits; a row with a NaN is wrong; NaN for
/// none.
double top_k_accuracy(std::span<const Answer> answers, int64_t k);

/// Mean of -log softmax(logits)[label], in nats; NaN for none.
double negative_log_likelihood(std::span<const Answer> answers);

/// How often each class was taken for each: the pairs that occur, so that memory grows with the
/// samples and not with the square of the classes.
class Confusion {
 public:
  using Pair = std::pair<int64_t, int64_t>;  ///< truth and prediction
  struct Count {
    Pair pair;
    int64_t count = 0;
    bool operator==(const Count&) const = default;
  };

  /// Answers of rows with a NaN, which have no prediction, are left out.
  void add(const Answer& answer);
  void add(const Count& count) { counts_[count.pair] += count.count; }

  /// All pairs, by truth and prediction.
  const std::map<Pair, int64_t>& counts() const { return counts_; }
  /// counts[truth][prediction], of which there are the square of the classes.
  std::vector<std::vector<int64_t>> matrix(int64_t num_classes) const;
  /// Those of different classes that occur most, the most frequent first, equal ones by pair.
  std::vector<Count> most_confused(size_t count) const;
  /// Of each class how many samples it has, and of how many it was the prediction.
  struct PerClass {
    std::vector<int64_t> truths, predictions, right;
  };
  PerClass per_class(int64_t num_classes) const;
  bool operator==(const Confusion&) const = default;

 private:
  std::map<Pair, int64_t> counts_;
};

}  // namespace vit22b::metrics
