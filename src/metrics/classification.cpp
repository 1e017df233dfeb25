#include "metrics/classification.h"

#include <algorithm>

#include "metrics/undefined.h"

namespace vit22b::metrics {

double top_k_accuracy(std::span<const Answer> answers, int64_t k) {
  if (answers.empty()) return kUndefined;
  const auto right = std::count_if(answers.begin(), answers.end(),
                                   [k](const Answer& answer) { return answer.is_among(k); });
  return static_cast<double>(right) / static_cast<double>(answers.size());
}

double negative_log_likelihood(std::span<const Answer> answers) {
  double sum = 0;
  for (const Answer& answer : answers) sum += answer.nll;
  return answers.empty() ? kUndefined : sum / static_cast<double>(answers.size());
}

void Confusion::add(const Answer& answer) {
  if (answer.prediction != Answer::kNone) ++counts_[{answer.label, answer.prediction}];
}

std::vector<std::vector<int64_t>> Confusion::matrix(int64_t num_classes) const {
  const auto classes = static_cast<size_t>(num_classes);
  std::vector<std::vector<int64_t>> all(classes, std::vector<int64_t>(classes, 0));
  for (const auto& [pair, count] : counts_)
    all.at(static_cast<size_t>(pair.first)).at(static_cast<size_t>(pair.second)) = count;
  return all;
}

std::vector<Confusion::Count> Confusion::most_confused(size_t count) const {
  std::vector<Count> confused;
  for (const auto& [pair, number] : counts_)
    if (pair.first != pair.second) confused.push_back({pair, number});
  const auto end = confused.begin() + static_cast<ptrdiff_t>(std::min(count, confused.size()));
  std::partial_sort(confused.begin(), end, confused.end(), [](const Count& a, const Count& b) {
    return a.count != b.count ? a.count > b.count : a.pair < b.pair;
  });
  confused.erase(end, confused.end());
  return confused;
}

Confusion::PerClass Confusion::per_class(int64_t num_classes) const {
  const std::vector<int64_t> none(static_cast<size_t>(num_classes), 0);
  PerClass all{none, none, none};
  for (const auto& [pair, count] : counts_) {
    all.truths.at(static_cast<size_t>(pair.first)) += count;
    all.predictions.at(static_cast<size_t>(pair.second)) += count;
    if (pair.first == pair.second) all.right.at(static_cast<size_t>(pair.first)) += count;
  }
  return all;
}

}  // namespace vit22b::metrics
