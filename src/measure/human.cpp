#include "measure/human.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "core/text_table.h"
#include "metrics/agreement.h"
#include "metrics/interval.h"
#include "metrics/undefined.h"

namespace vit22b {
namespace {

using Form = ResultTable::Form;
using metrics::CueAnswers;

constexpr const char* kPeople = "humans";

/// Whether each image was answered right, by condition and image.
using Answers = std::map<std::string, std::map<std::string, bool>>;

Answers answers_of(const std::string& experiment, const Observer& observer) {
  Answers answers;
  for (const Trial& trial : observer.trials)
    if (is_kept_condition(experiment, trial.condition))
      answers[trial.condition][trial.image] = trial.is_right();
  return answers;
}

double accuracy_of(const std::map<std::string, bool>& answers) {
  double right = 0;
  for (const auto& [image, is_right] : answers) right += is_right ? 1 : 0;
  return right / static_cast<double>(answers.size());
}

/// A mean in the making.
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

/// What an experiment says of an observer, or of people.
struct Likeness {
  double accuracy = 0, accuracy_difference = 0, observed_consistency = 0, kappa = 0;
};

/// One experiment's people, and the models beside them.
class Comparison {
 public:
  Comparison(std::string experiment, const std::vector<Observer>& observers)
      : experiment_(std::move(experiment)) {
    for (const Observer& observer : observers) {
      if (!observer.is_human) continue;
      people_.push_back(answers_of(experiment_, observer));
      for (const auto& [condition, answers] : people_.back()) conditions_.insert(condition);
    }
  }

  bool has_people() const { return !people_.empty(); }

  Likeness of_people() const {
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
    return {accuracy.value(), 0, observed.value(), kappa.value()};
  }

  /// Without people what compares with them is undefined.
  Likeness of_model(const Observer& model) const {
    Mean accuracy, difference, observed, kappa;
    const Answers all = answers_of(experiment_, model);
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
    return {accuracy.value(), difference.value(), observed.value(), kappa.value()};
  }

 private:
  double accuracy_of_people(const std::string& condition) const {
    Mean mean;
    for (const Answers& person : people_)
      if (const auto it = person.find(condition); it != person.end())
        mean.add(accuracy_of(it->second));
    return mean.value();
  }

  static void add_pair(const Answers& one, const Answers& other, const std::string& condition,
                       Mean& observed, Mean& kappa) {
    const auto first = one.find(condition), second = other.find(condition);
    if (first == one.end() || second == other.end()) return;
    if (const auto pair = agreement(first->second, second->second)) {
      observed.add(pair->observed);
      kappa.add(pair->kappa);
    }
  }

  std::string experiment_;
  std::vector<Answers> people_;  ///< of the conditions that count
  std::set<std::string> conditions_;
};

CueAnswers cues_of(const Observer& observer) {
  CueAnswers cues;
  for (const Trial& trial : observer.trials) {
    if (trial.texture.empty() || trial.texture == trial.category) continue;
    ++(trial.response == trial.category  ? cues.shape
       : trial.response == trial.texture ? cues.texture
                                         : cues.other);
  }
  return cues;
}

/// A model, and how alike it is in every experiment that it has trials of.
struct ModelRow {
  std::string name;
  std::map<std::string, Likeness> sets;
  CueAnswers cues;

  double mean(double Likeness::*what) const {
    Mean mean;
    for (const auto& [set, likeness] : sets) mean.add(likeness.*what);
    return mean.value();
  }
};

ModelRow& row_of(std::vector<ModelRow>& rows, const std::string& name) {
  for (ModelRow& row : rows)
    if (row.name == name) return row;
  rows.push_back({name, {}, {}});
  return rows.back();
}

std::vector<double> mean_ranks(const std::vector<ModelRow>& models) {
  std::vector<double> sums(models.size());
  const auto add = [&](double Likeness::*what, bool is_largest_first) {
    std::vector<double> values(models.size());
    std::transform(models.begin(), models.end(), values.begin(),
                   [&](const ModelRow& model) { return model.mean(what); });
    const std::vector<double> places = metrics::ranks(values, is_largest_first);
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += places[i] / 3;
  };
  add(&Likeness::accuracy_difference, false);
  add(&Likeness::observed_consistency, true);
  add(&Likeness::kappa, true);
  return sums;
}

void add_likeness(const std::string& set, const Likeness& likeness, Result& result) {
  const auto add = [&](const char* name, double value) {
    std::string key = set;
    std::replace(key.begin(), key.end(), '.', '-');  // a dot makes a group of keys
    result.numbers.push_back({{concat("sets.", key, ".", name), "share", Better::kLarger}, value});
  };
  add("accuracy", likeness.accuracy);
  add("observed_consistency", likeness.observed_consistency);
  add("kappa", likeness.kappa);
}

void add_shape_bias(const CueAnswers& cues, Result& result) {
  if (cues.shape + cues.texture == 0) return;
  result.numbers.push_back({{"shape_bias", "share", Better::kLarger}, cues.shape_bias()});
  result.numbers.back().interval = metrics::wilson_interval(cues.shape, cues.shape + cues.texture);
  const auto add_count = [&](const char* name, int64_t count) {
    result.numbers.push_back(
        {{name, "answers"}, static_cast<double>(count), {}, /*is_count=*/true});
  };
  add_count("shape_count", cues.shape);
  add_count("texture_count", cues.texture);
  add_count("neither_count", cues.other);
}

const std::vector<std::string> kColumns = {
    "observer", "set", "accuracy", "accuracy_difference", "observed_consistency", "kappa"};

void add_row(const std::string& observer, const std::string& set, const Likeness& likeness,
             ResultTable& table, TextTable& text) {
  table.rows.push_back({observer, set, likeness.accuracy, likeness.accuracy_difference,
                        likeness.observed_consistency, likeness.kappa});
  std::vector<std::string> cells = {observer, set};
  for (const double value : {likeness.accuracy, likeness.accuracy_difference,
                             likeness.observed_consistency, likeness.kappa})
    cells.push_back(std::isnan(value) ? "undefined" : formatted("%.4f", value));
  text.add(std::move(cells));
}

Likeness mean_of(const ModelRow& row) {
  return {row.mean(&Likeness::accuracy), row.mean(&Likeness::accuracy_difference),
          row.mean(&Likeness::observed_consistency), row.mean(&Likeness::kappa)};
}

/// Everybody, gathered over the experiments.
struct Everybody {
  ModelRow people{kPeople, {}, {}};
  std::vector<ModelRow> models;
  Mean bias_of_each;  ///< of the people

  /// Whom a result is of: the one model, else the people.
  const ModelRow& subject() const { return models.size() == 1 ? models.front() : people; }
};

void add_experiment(const std::string& set, const std::vector<Observer>& observers,
                    Everybody& all) {
  const Comparison comparison(set, observers);
  if (comparison.has_people()) all.people.sets[set] = comparison.of_people();
  for (const Observer& observer : observers) {
    const CueAnswers cues = set == kCueConflict ? cues_of(observer) : CueAnswers();
    if (observer.is_human) all.bias_of_each.add(cues.shape_bias());
    ModelRow& row = observer.is_human ? all.people : row_of(all.models, observer.name);
    row.cues.shape += cues.shape;
    row.cues.texture += cues.texture;
    row.cues.other += cues.other;
    if (!observer.is_human) row.sets[set] = comparison.of_model(observer);
  }
}

void add_observers(const Everybody& all, Result& result) {
  ResultTable table{"observers", Form::kRecords, kColumns, {}};
  using enum TextTable::Align;
  TextTable text({kLeft, kLeft, kRight, kRight, kRight, kRight});
  text.add(kColumns);
  std::vector<const ModelRow*> rows;
  if (!all.people.sets.empty()) rows.push_back(&all.people);
  for (const ModelRow& model : all.models) rows.push_back(&model);
  for (const ModelRow* row : rows) {
    for (const auto& [set, likeness] : row->sets) add_row(row->name, set, likeness, table, text);
    if (row->sets.size() > 1) add_row(row->name, "mean", mean_of(*row), table, text);
  }
  result.tables.push_back(std::move(table));
  result.lines += text.text();
  for (const ModelRow* row : rows)
    if (row->cues.shape + row->cues.texture > 0)
      result.lines += concat(row->name, ": shape bias ", formatted("%.4f", row->cues.shape_bias()),
                             " (", row->cues.shape, " shape, ", row->cues.texture, " texture)\n");
}

void add_mean_ranks(const std::vector<ModelRow>& models, Result& result) {
  const std::vector<double> ranks = mean_ranks(models);
  ResultTable table{"mean_rank", Form::kRecords, {"observer", "mean_rank"}, {}};
  for (size_t i = 0; i < models.size(); ++i) {
    table.rows.push_back({models[i].name, ranks[i]});
    result.lines += concat(models[i].name, formatted(": mean rank %.2f\n", ranks[i]));
  }
  result.tables.push_back(std::move(table));
}

}  // namespace

Result measure_human(const Experiments& experiments) {
  Everybody all;
  for (const auto& [set, observers] : experiments) add_experiment(set, observers, all);
  Result result{"human",
                {{"of", all.subject().name},
                 {"definitions.kappa",
                  "(c_obs - c_exp) / (1 - c_exp) by condition, mean over people, then conditions"},
                 {"definitions.shape_bias", "shape answers / (shape + texture answers), pooled"}},
                {}};
  result.is_of_samples = false;
  for (const auto& [set, likeness] : all.subject().sets) add_likeness(set, likeness, result);
  add_shape_bias(all.subject().cues, result);
  if (all.bias_of_each.count > 0)
    result.numbers.push_back(
        {{"shape_bias_of_humans", "share", Better::kLarger}, all.bias_of_each.value()});
  add_observers(all, result);
  if (all.models.size() > 1) add_mean_ranks(all.models, result);
  return result;
}

}  // namespace vit22b
