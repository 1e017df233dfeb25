#include "measure/fairness.h"

#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"
#include "core/text.h"
#include "core/text_table.h"
#include "measure/defined_number.h"
#include "metrics/fairness.h"

namespace vit22b {
namespace {

using Form = ResultTable::Form;
using metrics::Decision;
using metrics::GroupRates;
using metrics::RandomizedThreshold;
using metrics::Share;

constexpr double kTolerances[] = {0, 0.01, 0.02, 0.05, 0.1, 0.2};
constexpr int64_t kSmallGroup = 30;  // samples: below it intervals are wider than most gaps

std::vector<Decision> decisions_of(const FairnessTable& table) {
  std::vector<Decision> decisions;
  for (size_t i = 0; i < table.labels.size(); ++i)
    decisions.push_back({table.groups[i], table.labels[i], table.predictions[i] ? 1.0 : 0.0});
  return decisions;
}

std::string shown(const Share& share) {
  if (share.of == 0) return "undefined";
  return concat(formatted("%.4f", share.value), formatted(" (%.4f", share.interval.low),
                formatted(" to %.4f)", share.interval.high));
}

void add_groups(const FairnessTable& table, const std::vector<GroupRates>& groups, Result& result) {
  ResultTable rows{"groups", Form::kRecords, {"group", "count"}, {}};
  using enum TextTable::Align;
  TextTable text({kLeft, kRight, kLeft, kLeft, kLeft, kLeft, kLeft});
  text.add(
      {"group", "count", "accuracy (95 %)", "positive", "true positive", "false positive", ""});
  for (const char* name :
       {"accuracy", "positive_rate", "true_positive_rate", "false_positive_rate"})
    for (const char* end : {"", "_low", "_high"}) rows.columns.push_back(concat(name, end));
  for (size_t k = 0; k < groups.size(); ++k) {
    const GroupRates& group = groups[k];
    std::vector<Cell> cells = {table.group_names[k], group.count};
    for (const Share& share :
         {group.accuracy, group.positive_rate, group.true_positive_rate, group.false_positive_rate})
      cells.insert(cells.end(), {share.value, share.interval.low, share.interval.high});
    rows.rows.push_back(std::move(cells));
    text.add({table.group_names[k], concat(group.count), shown(group.accuracy),
              shown(group.positive_rate), shown(group.true_positive_rate),
              shown(group.false_positive_rate), group.count < kSmallGroup ? "small" : ""});
  }
  result.lines += text.text();
  result.tables.push_back(std::move(rows));
}

void add_gaps(const std::vector<GroupRates>& groups, Result& result) {
  const auto add = [&](const char* name, double value, const char* definition) {
    add_defined(result, {{name, "share", Better::kSmaller}, value}, definition);
  };
  add("parity_gap", metrics::gap(groups, &GroupRates::positive_rate),
      "largest less smallest rate of positive decisions");
  add("equalized_odds_gap", metrics::equalized_odds_gap(groups),
      "larger of the gaps of true and of false positive rates");
  add("level_disparity", metrics::gap(groups, &GroupRates::accuracy),
      "largest less smallest accuracy");
}

/// Which samples thresholds are fitted to: of every group a part drawn by the seed.
std::vector<bool> drawn_for_fitting(const FairnessTable& table, const FairnessOptions& options) {
  std::vector<std::vector<size_t>> of_group(table.group_names.size());
  for (size_t i = 0; i < table.groups.size(); ++i)
    of_group[static_cast<size_t>(table.groups[i])].push_back(i);
  std::vector<bool> is_drawn(table.labels.size());
  for (size_t k = 0; k < of_group.size(); ++k) {
    const std::vector<size_t>& own = of_group[k];
    const auto count =
        static_cast<uint64_t>(std::llround(options.fit_part * static_cast<double>(own.size())));
    if (count == 0 || count == own.size())
      throw DataError(table.place, ": group '", table.group_names[k], "' has ", own.size(),
                      " samples, too few to fit thresholds to a part and measure the others");
    const RandomPermutation order(own.size(), options.seed, "fairness/" + table.group_names[k]);
    for (uint64_t i = 0; i < count; ++i) is_drawn[own[order(i)]] = true;
  }
  return is_drawn;
}

/// The samples that are drawn, or the others.
FairnessTable part_of(const FairnessTable& table, const std::vector<bool>& is_drawn, bool drawn) {
  FairnessTable part{.place = table.place, .group_names = table.group_names};
  for (size_t i = 0; i < is_drawn.size(); ++i) {
    if (is_drawn[i] != drawn) continue;
    part.labels.push_back(table.labels[i]);
    part.scores.push_back(table.scores[i]);
    part.groups.push_back(table.groups[i]);
  }
  return part;
}

/// What thresholds are fitted to, and what they are measured on.
struct FittedParts {
  FairnessTable fit, test;
};

/// One row of what thresholds of a tolerance give.
void add_level(const FittedParts& parts, double tolerance, const FairnessOptions& options,
               ResultTable& rows, TextTable& text) {
  const std::vector<double>& scores = parts.fit.scores;
  const auto num_groups = std::ssize(parts.fit.group_names);
  const double level =
      std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
  const RandomizedThreshold fitted(scores, parts.fit.groups, num_groups, level,
                                   {options.gamma, tolerance});
  std::vector<Decision> decisions;
  double right = 0;
  const FairnessTable& test = parts.test;
  for (size_t i = 0; i < test.labels.size(); ++i) {
    const double positive = fitted.positive(test.scores[i], test.groups[i]);
    decisions.push_back({test.groups[i], test.labels[i], positive});
    right += test.labels[i] ? positive : 1 - positive;
  }
  const std::vector<GroupRates> rates = metrics::group_rates(decisions, num_groups);
  const double accuracy = right / static_cast<double>(decisions.size()),
               parity = metrics::gap(rates, &GroupRates::positive_rate),
               disparity = metrics::gap(rates, &GroupRates::accuracy);
  std::vector<Cell> cells = {tolerance, level, parity, accuracy, disparity};
  std::vector<std::string> words;
  for (const double value : {tolerance, level, parity, accuracy, disparity})
    words.push_back(formatted("%.4f", value));
  for (const GroupRates& group : rates) {
    cells.emplace_back(group.accuracy.value);
    words.push_back(formatted("%.4f", group.accuracy.value));
  }
  rows.rows.push_back(std::move(cells));
  text.add(std::move(words));
}

void add_levels(const FittedParts& parts, const FairnessOptions& options, Result& result) {
  ResultTable rows{"rto",
                   Form::kRecords,
                   {"tolerance", "level", "parity_gap", "accuracy", "level_disparity"},
                   {}};
  for (const std::string& group : parts.test.group_names)
    rows.columns.push_back("accuracy of " + group);
  TextTable text(std::vector<TextTable::Align>(rows.columns.size(), TextTable::Align::kRight));
  text.add(rows.columns);
  for (const double tolerance : kTolerances) add_level(parts, tolerance, options, rows, text);
  const int64_t fitted = parts.fit.size(), measured = parts.test.size();
  result.settings.emplace_back(
      "definitions.rto",
      concat("randomised thresholds (Alabdulmohsin and Lucic 2021), gamma ", options.gamma,
             ", level = mean score, fitted to ", fitted, " samples, measured on ", measured,
             "; accuracies are expectations over the randomisation"));
  result.lines += concat("randomised thresholds, fitted to ", fitted, " samples, of ", measured,
                         " others:\n", text.text());
  result.tables.push_back(std::move(rows));
}

FittedParts fitted_parts(const FairnessTable& table, const FairnessOptions& options,
                         const FairnessTable* fit) {
  if (fit == nullptr) {
    const std::vector<bool> is_drawn = drawn_for_fitting(table, options);
    return {part_of(table, is_drawn, true), part_of(table, is_drawn, false)};
  }
  if (fit->group_names != table.group_names)
    throw DataError(fit->place, ": the samples that thresholds are fitted to are of the groups ",
                    join(fit->group_names, ", "), ", those that are measured of ",
                    join(table.group_names, ", "));
  return {*fit, table};
}

}  // namespace

Result measure_fairness(const FairnessTable& table, const FairnessOptions& options,
                        const FairnessTable* fit) {
  const auto num_groups = std::ssize(table.group_names);
  if (num_groups < 2)
    throw DataError(table.place, " has ", num_groups,
                    num_groups == 1 ? concat(" group ('", table.group_names[0], "')") : " groups",
                    ", want at least two to compare");
  const std::vector<GroupRates> groups = metrics::group_rates(decisions_of(table), num_groups);
  Result result{"fairness", {{"decisions_from", table.decisions_from}}, {}};
  result.is_of_samples = false;
  add_groups(table, groups, result);
  ResultTable accuracies{"accuracy_per_group", Form::kRecords, {"group", "accuracy"}, {}};
  for (size_t k = 0; k < groups.size(); ++k)
    accuracies.rows.push_back({table.group_names[k], groups[k].accuracy.value});
  result.tables.push_back(std::move(accuracies));
  add_gaps(groups, result);
  result.numbers.push_back(
      {{"num_examples", "samples"}, static_cast<double>(table.size()), {}, /*is_count=*/true});
  if (!table.scores.empty()) add_levels(fitted_parts(table, options, fit), options, result);
  return result;
}

}  // namespace vit22b
