#include "measure/human_comparison.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "metrics/agreement.h"

namespace vit22b {
namespace {

double accuracy_of(const std::map<std::string, bool>& answers) {
  double right = 0;
  for (const auto& [image, is_right] : answers) right += is_right ? 1 : 0;
  return right / static_cast<double>(answers.size());
}

/// Of the images that both have seen; nothing of none.
std::optional<metrics::ErrorConsistency> agreement(const std::map<std::string, bool>& one,
                                                   const std::map<std::string, bool>& other) {
  std::vector<bool> first, second;
  for (const auto& [image, is_right] : one)
    if (const auto it = other.find(image); it != other.end()) {
      first.push_back(is_right);
      second.push_back(it->second);
    }
  if (first.empty()) return std::nullopt;
  return metrics::error_consistency(first, second);
}

}  // namespace

HumanComparison::HumanComparison(std::string experiment, const std::vector<Observer>& observers)
    : experiment_(std::move(experiment)) {
  for (const Observer& observer : observers) {
    if (!observer.is_human) continue;
    people_.push_back(answers_of(observer));
    for (const auto& [condition, answers] : people_.back()) conditions_.insert(condition);
  }
}

HumanComparison::Answers HumanComparison::answers_of(const Observer& observer) const {
  Answers answers;
  for (const Trial& trial : observer.trials)
    if (is_kept_condition(experiment_, trial.condition))
      answers[trial.condition][trial.image] = trial.is_right();
  return answers;
}

Likeness HumanComparison::of_people() const {
  Mean accuracy, observed, kappa;
  for (const std::string& condition : conditions_) {
    accuracy.add(accuracy_of_people(condition));
    Mean pairs_observed, pairs_kappa;
    for (size_t i = 0; i < people_.size(); ++i)
      for (size_t j = i + 1; j < people_.size(); ++j)
        add_pair(people_[i], people_[j], condition, pairs_observed, pairs_kappa);
    observed.add(pairs_observed.value());
    kappa.add(pairs_kappa.value());
  }
  std::set<std::pair<std::string, std::string>> images;
  for (const Answers& person : people_)
    for (const auto& [condition, answers] : person)
      for (const auto& [image, is_right] : answers) images.emplace(condition, image);
  return {accuracy.value(), 0, observed.value(), kappa.value(), std::ssize(images)};
}

Likeness HumanComparison::of_model(const Observer& model) const {
  Mean accuracy, difference, observed, kappa;
  const Answers all = answers_of(model);
  for (const auto& [condition, answers] : all) {
    const double own = accuracy_of(answers), people = accuracy_of_people(condition);
    accuracy.add(own);
    difference.add((own - people) * (own - people));
    Mean pairs_observed, pairs_kappa;
    for (const Answers& person : people_)
      add_pair(all, person, condition, pairs_observed, pairs_kappa);
    observed.add(pairs_observed.value());
    kappa.add(pairs_kappa.value());
  }
  if (has_people() && observed.count == 0)
    throw DataError(model.name, " has no image of ", experiment_,
                    " in common with people's trials there");
  return {accuracy.value(), difference.value(), observed.value(), kappa.value(), num_common(all)};
}

int64_t HumanComparison::num_common(const Answers& all) const {
  int64_t count = 0;
  const auto has_seen = [](const Answers& person, const std::string& condition,
                           const std::string& image) {
    const auto it = person.find(condition);
    return it != person.end() && it->second.count(image) > 0;
  };
  for (const auto& of_condition : all)
    for (const auto& answer : of_condition.second)
      count += std::any_of(people_.begin(), people_.end(), [&](const Answers& person) {
        return has_seen(person, of_condition.first, answer.first);
      });
  return count;
}

std::map<std::string, double> HumanComparison::accuracies_of_people() const {
  std::map<std::string, double> accuracies;
  for (const std::string& condition : conditions_)
    accuracies[condition] = accuracy_of_people(condition);
  return accuracies;
}

std::map<std::string, double> HumanComparison::accuracies_of(const Observer& model) const {
  std::map<std::string, double> accuracies;
  const Answers all = answers_of(model);
  for (const auto& [condition, answers] : all) accuracies[condition] = accuracy_of(answers);
  return accuracies;
}

double HumanComparison::accuracy_of_people(const std::string& condition) const {
  Mean mean;
  for (const Answers& person : people_)
    if (const auto it = person.find(condition); it != person.end())
      mean.add(accuracy_of(it->second));
  return mean.value();
}

void HumanComparison::add_pair(const Answers& one, const Answers& other,
                               const std::string& condition, Mean& observed, Mean& kappa) {
  const auto first = one.find(condition), second = other.find(condition);
  if (first == one.end() || second == other.end()) return;
  if (const auto pair = agreement(first->second, second->second)) {
    observed.add(pair->observed);
    kappa.add(pair->kappa);
  }
}

}  // namespace vit22b
