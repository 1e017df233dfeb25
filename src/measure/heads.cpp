#include "measure/heads.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/error.h"
#include "core/text.h"
#include "eval/prediction_file.h"
#include "measure/class_groups.h"
#include "metrics/interval.h"

namespace vit22b {
namespace {

/// "accuracy", or "accuracy.10" of one number of neighbours or shots.
std::string name_of(const char* field, int64_t key) {
  return key == 0 ? field : concat(field, ".", key);
}

at::Tensor right_answers(const HeadAnswers& answers, int64_t key) {
  return answers.predicted.at(key).eq(answers.labels_M.unsqueeze(0));
}

double mean_of(const at::Tensor& values) {
  return values.to(at::kDouble).mean().item<double>();
}

ResultNumber accuracy(const at::Tensor& right_SM, int64_t key, int64_t seed) {
  const metrics::Interval interval =
      right_SM.size(0) == 1
          ? metrics::wilson_interval(right_SM.sum().item<int64_t>(), right_SM.size(1))
          : metrics::bootstrap_interval(right_SM, static_cast<uint64_t>(seed));
  return {.metric = {name_of("accuracy", key), "share"},
          .value = mean_of(right_SM),
          .interval = interval,
          .interval_name = name_of("confidence_interval", key)};
}

/// The mean difference to another run's predictions of the same samples, run by run.
ResultNumber difference(const HeadAnswers& answers, const HeadMeasure& measure, int64_t key,
                        const at::Tensor& right_SM) {
  const PredictionFile other(measure.against);
  other.check_same_samples(answers.labels_M, answers.contents, answers.place);
  const at::Tensor predicted = other.predicted(key);
  if (predicted.sizes() != right_SM.sizes())
    throw DataError(measure.against, ": ", predicted.size(0), " draws, here ", right_SM.size(0),
                    "; compare runs with the same options");
  const at::Tensor gain =
      right_SM.to(at::kDouble) - predicted.eq(answers.labels_M.unsqueeze(0)).to(at::kDouble);
  const std::string name = name_of("difference", key);
  return {.metric = {name + ".mean", "share"},
          .value = mean_of(gain),
          .interval = metrics::bootstrap_interval(gain, static_cast<uint64_t>(measure.seed)),
          .interval_name = name + ".confidence_interval"};
}

std::vector<ClassShare> class_shares(const HeadAnswers& answers, const at::Tensor& right_SM) {
  const at::Tensor counts = class_counts(answers.labels_M, answers.num_classes);
  const at::Tensor right =
      at::bincount(answers.labels_M, right_SM.to(at::kDouble).mean(0), answers.num_classes);
  std::vector<ClassShare> shares;
  shares.reserve(static_cast<size_t>(answers.num_classes));
  for (int64_t c = 0; c < answers.num_classes; ++c)
    shares.push_back({counts[c].item<int64_t>(), right[c].item<double>()});
  return shares;
}

ResultTable per_class(const HeadAnswers& answers, int64_t key,
                      const std::vector<ClassShare>& shares) {
  const auto& names = answers.label_names;
  ResultTable table{name_of("per_class", key),
                    ResultTable::Form::kRecords,
                    {"label", "num_examples", "accuracy"},
                    {}};
  for (size_t c = 0; c < shares.size(); ++c) {
    const ClassShare& share = shares[c];
    table.rows.push_back({names.empty() ? std::to_string(c) : names[c], share.count,
                          share.count == 0 ? NAN : share.right / static_cast<double>(share.count)});
  }
  return table;
}

std::string percent_text(double share, bool is_signed = false) {
  return formatted(is_signed ? "%+.2f" : "%.2f", 100 * share);
}

/// "  difference +1.20 %  (95 %: -0.10 to +2.30)".
std::string share_text(const char* label, const ResultNumber& share, bool is_signed = false) {
  std::string text = concat("  ", label, " ", percent_text(share.value, is_signed), " %");
  if (!share.interval) return text;
  return concat(text, "  (95 %: ", percent_text(share.interval->low, is_signed), " to ",
                percent_text(share.interval->high, is_signed), ")");
}

std::string folds_text(const std::vector<Result>& folds, const std::string& name) {
  std::string text;
  for (size_t fold = 0; fold < folds.size(); ++fold)
    text += concat("  fold ", fold + 1, ": ", percent_text(folds[fold].number(name)), " %\n");
  return text;
}

/// A fold's own numbers.
Result fold_result(const HeadAnswers& fold, int64_t seed) {
  Result result{fold.method};
  result.settings = {{"num_train", fold.num_train}, {"num_test", fold.labels_M.size(0)}};
  for (const auto& [key, predicted_SM] : fold.predicted)
    result.numbers.push_back(accuracy(right_answers(fold, key), key, seed));
  result.is_of_samples = false;
  result.chosen = fold.chosen;
  return result;
}

/// The standard deviation of the folds' accuracies, whose mean takes the joined answers' place.
ResultNumber take_mean(ResultNumber& joined, const std::vector<Result>& folds, int64_t key) {
  std::vector<double> accuracies;
  accuracies.reserve(folds.size());
  for (const Result& fold : folds) accuracies.push_back(fold.number(joined.metric.name));
  const at::Tensor values = at::tensor(accuracies, at::kDouble);
  joined.value = mean_of(values);
  return {{name_of("spread", key), "share", Better::kSmaller}, values.std().item<double>()};
}

/// Adds the numbers of one number of neighbours or shots.
void add_key(Result& result, const HeadAnswers& answers, const HeadMeasure& measure,
             const ClassGroups& groups, int64_t key) {
  const at::Tensor right_SM = right_answers(answers, key);
  ResultNumber found = accuracy(right_SM, key, measure.seed);
  std::string spread;
  if (!result.folds.empty()) {
    result.over_folds.push_back(take_mean(found, result.folds, key));
    spread = concat(share_text("spread", result.over_folds.back()), " over ", result.folds.size(),
                    " folds");
  }
  result.lines += concat(answers.method, key == 0 ? "" : concat(" ", key),
                         share_text("accuracy", found), spread);
  result.numbers.push_back(std::move(found));
  if (!measure.against.empty()) {
    result.numbers.push_back(difference(answers, measure, key, right_SM));
    result.lines += share_text("difference", result.numbers.back(), /*is_signed=*/true);
  }
  result.lines += "\n" + folds_text(result.folds, name_of("accuracy", key));
  const std::vector<ClassShare> shares = class_shares(answers, right_SM);
  result.tables.push_back(per_class(answers, key, shares));
  if (!groups.is_any()) return;
  result.tables.push_back(group_table(name_of("per_group", key), groups, shares));
}

}  // namespace

HeadAnswers answers_on(const std::string& method, const HeadSets& sets, const HeadData& data) {
  return {method,           data.test.labels_N, data.train.label_names,
          data.num_classes, data.train.size(),  data.test.place,
          sets.split,       data.test.contents};
}

HeadAnswers joined_answers(const HeadSets& sets, const std::vector<HeadAnswers>& fits) {
  HeadAnswers all = fits.front();
  if (fits.size() == 1) return all;
  std::vector<at::Tensor> rows, labels;
  std::map<int64_t, std::vector<at::Tensor>> predicted;
  for (size_t fold = 0; fold < fits.size(); ++fold) {
    rows.push_back(sets.rows.at(fold).test);
    labels.push_back(fits[fold].labels_M);
    for (const auto& [key, predicted_SM] : fits[fold].predicted)
      predicted[key].push_back(predicted_SM);
  }
  const at::Tensor order = at::cat(rows).argsort();
  all.num_train = sets.num_train();
  all.labels_M = at::cat(labels).index_select(0, order);
  all.contents = sets.train.contents;  // every sample of it is in one fold
  all.chosen.clear();
  for (auto& [key, parts] : predicted)
    all.predicted[key] = at::cat(parts, 1).index_select(1, order);
  return all;
}

Result head_result(const HeadAnswers& all, const HeadMeasure& measure,
                   const std::vector<HeadAnswers>& folds) {
  Result result{all.method};
  result.is_of_samples = false;
  result.settings = {{"method", all.method},
                     {"split", all.split},
                     {"num_train", all.num_train},
                     {"num_test", all.labels_M.size(0)},
                     {"num_classes", all.num_classes}};
  for (size_t i = 0; i < folds.size() && folds.size() > 1; ++i)
    result.folds.push_back(fold_result(folds[i], measure.seed));
  const ClassGroups groups = class_groups(measure.groups, all.label_names);
  for (const auto& [key, predicted_SM] : all.predicted) add_key(result, all, measure, groups, key);
  result.chosen = all.chosen;
  return result;
}

}  // namespace vit22b
