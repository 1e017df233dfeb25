#pragma once
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "measure/human_trials.h"
#include "metrics/undefined.h"

namespace vit22b {

/// A mean in the making; what is undefined does not count.
struct Mean {
  double sum = 0;
  int64_t count = 0;

  void add(double value) {
    if (std::isnan(value)) return;
    sum += value;
    ++count;
  }
  double value() const {
    return count == 0 ? metrics::kUndefined : sum / static_cast<double>(count);
  }
};

/// What an experiment says of an observer, or of people.
struct Likeness {
  double accuracy = 0, accuracy_difference = 0, observed_consistency = 0, kappa = 0;
  int64_t num_images = 0;  ///< that a model has in common with somebody; of people all
};

/// One experiment's people, and the models beside them.
class HumanComparison {
 public:
  HumanComparison(std::string experiment, const std::vector<Observer>& observers);

  bool has_people() const { return !people_.empty(); }
  Likeness of_people() const;
  /// Without people what compares with them is undefined.
  ///
  /// throws  DataError where it has no image in common with the people
  Likeness of_model(const Observer& model) const;
  /// The accuracy under each condition that counts: of the people in the mean, or of a model.
  std::map<std::string, double> accuracies_of_people() const;
  std::map<std::string, double> accuracies_of(const Observer& model) const;

 private:
  /// Whether each image was answered right, by condition and image.
  using Answers = std::map<std::string, std::map<std::string, bool>>;

  Answers answers_of(const Observer& observer) const;
  double accuracy_of_people(const std::string& condition) const;
  int64_t num_common(const Answers& all) const;
  static void add_pair(const Answers& one, const Answers& other, const std::string& condition,
                       Mean& observed, Mean& kappa);

  std::string experiment_;
  std::vector<Answers> people_;  ///< of the conditions that count
  std::set<std::string> conditions_;
};

}  // namespace vit22b
