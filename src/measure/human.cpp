#include "measure/human.h"

#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "core/text_table.h"
#include "measure/human_comparison.h"
#include "metrics/agreement.h"
#include "metrics/interval.h"

namespace vit22b {
namespace {

using Form = ResultTable::Form;
using metrics::CueAnswers;

constexpr const char* kPeople = "humans";

using CategoryCues = std::map<std::string, CueAnswers>;  // by the shape's category

void add_cues(const Observer& observer, CategoryCues& cues) {
  for (const Trial& trial : observer.trials) {
    if (trial.texture.empty() || trial.texture == trial.category) continue;
    CueAnswers& own = cues[trial.category];
    ++(trial.response == trial.category  ? own.shape
       : trial.response == trial.texture ? own.texture
                                         : own.other);
  }
}

CueAnswers sum_of(const CategoryCues& cues) {
  CueAnswers sum;
  for (const auto& [category, own] : cues) {
    sum.shape += own.shape;
    sum.texture += own.texture;
    sum.other += own.other;
  }
  return sum;
}

/// A model, and how alike it is in every experiment that it has trials of.
struct ModelRow {
  std::string name;
  std::map<std::string, Likeness> sets;
  CategoryCues cues;
  std::map<std::string, std::map<std::string, double>> conditions;  ///< accuracies, by set

  CueAnswers all_cues() const { return sum_of(cues); }

  double mean(double Likeness::*what) const {
    Mean mean;
    for (const auto& [set, likeness] : sets) mean.add(likeness.*what);
    return mean.value();
  }
};

ModelRow& row_of(std::vector<ModelRow>& rows, const std::string& name) {
  for (ModelRow& row : rows)
    if (row.name == name) return row;
  rows.push_back({name, {}, {}, {}});
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
    "observer", "set",       "accuracy", "accuracy_difference", "observed_consistency",
    "kappa",    "num_images"};

void add_row(const std::string& observer, const std::string& set, const Likeness& likeness,
             ResultTable& table, TextTable& text) {
  table.rows.push_back({observer, set, likeness.accuracy, likeness.accuracy_difference,
                        likeness.observed_consistency, likeness.kappa, likeness.num_images});
  std::vector<std::string> cells = {observer, set};
  for (const double value : {likeness.accuracy, likeness.accuracy_difference,
                             likeness.observed_consistency, likeness.kappa})
    cells.push_back(std::isnan(value) ? "undefined" : formatted("%.4f", value));
  cells.push_back(std::to_string(likeness.num_images));
  text.add(std::move(cells));
}

Likeness mean_of(const ModelRow& row) {
  int64_t images = 0;
  for (const auto& [set, likeness] : row.sets) images += likeness.num_images;
  return {row.mean(&Likeness::accuracy), row.mean(&Likeness::accuracy_difference),
          row.mean(&Likeness::observed_consistency), row.mean(&Likeness::kappa), images};
}

/// Everybody, gathered over the experiments.
struct Everybody {
  ModelRow people{kPeople, {}, {}, {}};
  std::vector<ModelRow> models;
  Mean bias_of_each;  ///< of the people

  /// Whom a result is of: the one model, else the people.
  const ModelRow& subject() const { return models.size() == 1 ? models.front() : people; }
};

void add_experiment(const std::string& set, const std::vector<Observer>& observers,
                    Everybody& all) {
  const HumanComparison comparison(set, observers);
  if (comparison.has_people()) {
    all.people.sets[set] = comparison.of_people();
    all.people.conditions[set] = comparison.accuracies_of_people();
  }
  for (const Observer& observer : observers) {
    ModelRow& row = observer.is_human ? all.people : row_of(all.models, observer.name);
    if (set == kCueConflict) {
      CategoryCues own;
      add_cues(observer, own);
      add_cues(observer, row.cues);
      if (observer.is_human) all.bias_of_each.add(sum_of(own).shape_bias());
    }
    if (observer.is_human) continue;
    row.sets[set] = comparison.of_model(observer);
    row.conditions[set] = comparison.accuracies_of(observer);
  }
}

/// What plots are made of: accuracies by condition, and shape bias by category.
void add_details(const std::vector<const ModelRow*>& rows, Result& result) {
  ResultTable conditions{
      "by_condition", Form::kRecords, {"observer", "set", "condition", "accuracy"}, {}};
  ResultTable cues{"shape_bias_by_category",
                   Form::kRecords,
                   {"observer", "category", "shape", "texture", "shape_bias"},
                   {}};
  for (const ModelRow* row : rows) {
    for (const auto& [set, accuracies] : row->conditions)
      for (const auto& [condition, accuracy] : accuracies)
        conditions.rows.push_back({row->name, set, condition, accuracy});
    for (const auto& [category, own] : row->cues)
      cues.rows.push_back({row->name, category, own.shape, own.texture, own.shape_bias()});
  }
  result.tables.push_back(std::move(conditions));
  if (!cues.rows.empty()) result.tables.push_back(std::move(cues));
}

void add_observers(const Everybody& all, Result& result) {
  ResultTable table{"observers", Form::kRecords, kColumns, {}};
  using enum TextTable::Align;
  TextTable text({kLeft, kLeft, kRight, kRight, kRight, kRight, kRight});
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
    if (const CueAnswers cues = row->all_cues(); cues.shape + cues.texture > 0)
      result.lines += concat(row->name, ": shape bias ", formatted("%.4f", cues.shape_bias()), " (",
                             cues.shape, " shape, ", cues.texture, " texture)\n");
  add_details(rows, result);
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
  add_shape_bias(all.subject().all_cues(), result);
  if (all.bias_of_each.count > 0)
    result.numbers.push_back(
        {{"shape_bias_of_humans", "share", Better::kLarger}, all.bias_of_each.value()});
  add_observers(all, result);
  if (all.models.size() > 1) add_mean_ranks(all.models, result);
  return result;
}

}  // namespace vit22b
