#include "cli/head_report.h"

#include <cstdio>
#include <functional>

#include "core/error.h"
#include "eval/prediction_file.h"
#include "metrics/interval.h"
#include "metrics/retrieval.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

double mean_of(const at::Tensor& values) {
  return values.to(at::kDouble).mean().item<double>();
}

Json pair_of(const metrics::Interval& interval) {
  return {interval.low, interval.high};
}

metrics::Interval interval_of(const at::Tensor& right_SM, int64_t seed) {
  if (right_SM.size(0) == 1)
    return metrics::wilson_interval(right_SM.sum().item<int64_t>(), right_SM.size(1));
  return metrics::bootstrap_interval(right_SM, static_cast<uint64_t>(seed));
}

Json per_class(const HeadResult& result, const at::Tensor& right_SM) {
  const at::Tensor counts = class_counts(result.labels_M, result.num_classes);
  const at::Tensor right =
      at::bincount(result.labels_M, right_SM.to(at::kDouble).mean(0), result.num_classes);
  Json rows = Json::array();
  for (int64_t c = 0; c < result.num_classes; ++c) {
    const auto& names = result.label_names;
    const auto count = counts[c].item<int64_t>();
    rows.push_back(
        {{"label", names.empty() ? std::to_string(c) : names[static_cast<size_t>(c)]},
         {"num_examples", count},
         {"accuracy",
          count == 0 ? Json() : Json(right[c].item<double>() / static_cast<double>(count))}});
  }
  return rows;
}

/// The mean difference to another run's predictions of the same samples, run by run.
Json difference(const HeadFlags& flags, const HeadResult& result, int64_t key,
                const at::Tensor& right_SM) {
  const PredictionFile other(flags.against);
  other.check_same_samples(result.labels_M, result.contents, result.place);
  const at::Tensor predicted = other.predicted(key);
  if (predicted.sizes() != right_SM.sizes())
    throw DataError(flags.against, ": ", predicted.size(0), " draws, here ", right_SM.size(0),
                    "; compare runs with the same options");
  const at::Tensor gain =
      right_SM.to(at::kDouble) - predicted.eq(result.labels_M.unsqueeze(0)).to(at::kDouble);
  return {{"mean", mean_of(gain)},
          {"confidence_interval",
           pair_of(metrics::bootstrap_interval(gain, static_cast<uint64_t>(flags.common.seed)))}};
}

/// "  accuracy 91.20 %  (95 %: 89.10 to 92.90)" of one key's numbers.
std::string numbers_text(const std::function<const Json&(const char*)>& of, const Json& json) {
  char line[256];
  std::snprintf(line, sizeof line, "  accuracy %.2f %%  (95 %%: %.2f to %.2f)",
                100 * of("accuracy").get<double>(),
                100 * of("confidence_interval")[0].get<double>(),
                100 * of("confidence_interval")[1].get<double>());
  std::string text = line;
  if (json.contains("spread")) {
    std::snprintf(line, sizeof line, "  spread %.2f %% over %zu folds",
                  100 * of("spread").get<double>(), json.at("folds").size());
    text += line;
  }
  if (json.contains("difference")) {
    const Json& d = of("difference");
    std::snprintf(line, sizeof line, "  difference %+.2f %%  (95 %%: %+.2f to %+.2f)",
                  100 * d["mean"].get<double>(), 100 * d["confidence_interval"][0].get<double>(),
                  100 * d["confidence_interval"][1].get<double>());
    text += line;
  }
  return text;
}

/// A field that is a map where there are several keys.
const Json& field_of(const Json& json, const char* field, int64_t key) {
  return key == 0 ? json.at(field) : json.at(field).at(std::to_string(key));
}

std::string folds_text(const Json& folds, int64_t key) {
  std::string text;
  for (size_t fold = 0; fold < folds.size(); ++fold) {
    char line[64];
    std::snprintf(line, sizeof line, "  fold %zu: %.2f %%\n", fold + 1,
                  100 * field_of(folds[fold], "accuracy", key).get<double>());
    text += line;
  }
  return text;
}

std::string as_text(const HeadResult& result, const Json& json) {
  std::string text;
  for (const auto& [key, predicted] : result.predicted) {
    text += result.method + (key == 0 ? "" : concat(" ", key));
    text += numbers_text(
        [&, key = key](const char* field) -> const Json& { return field_of(json, field, key); },
        json);
    text += "\n";
    if (json.contains("folds")) text += folds_text(json["folds"], key);
  }
  if (json.contains("chosen")) text += "chosen: " + json["chosen"].dump() + "\n";
  return text;
}

/// The JSON of a result on one set.
Json as_json(const HeadFlags& flags, const HeadResult& result) {
  Json json = {{"method", result.method},
               {"split", result.split},
               {"num_train", result.num_train},
               {"num_test", result.labels_M.size(0)},
               {"num_classes", result.num_classes}};
  for (const auto& [key, predicted_SM] : result.predicted) {
    const at::Tensor right_SM = predicted_SM.eq(result.labels_M.unsqueeze(0));
    const auto put = [&, key = key](const char* field, Json value) {
      (key == 0 ? json[field] : json[field][std::to_string(key)]) = std::move(value);
    };
    put("accuracy", mean_of(right_SM));
    put("confidence_interval", pair_of(interval_of(right_SM, flags.common.seed)));
    if (!flags.against.empty()) put("difference", difference(flags, result, key, right_SM));
    put("per_class", per_class(result, right_SM));
  }
  return json;
}

void tell(const HeadFlags& flags, const HeadResult& result, const Json& json) {
  print_and_store(flags.common.is_json ? json.dump(1) + "\n" : as_text(result, json), [&] {
    FileOps ops;
    if (!flags.common.out.empty()) write_text(ops, flags.common.out, json.dump(1) + "\n");
    if (!flags.predictions.empty())
      write_prediction_file(flags.predictions, result.method, result.labels_M, result.predicted,
                            result.contents);
  });
}

/// All folds' answers as one result, in the order of the samples: each is tested once.
HeadResult joined(const HeadSets& sets, const std::vector<HeadOutcome>& outcomes) {
  std::vector<at::Tensor> rows, labels;
  std::map<int64_t, std::vector<at::Tensor>> predicted;
  for (size_t fold = 0; fold < outcomes.size(); ++fold) {
    rows.push_back(sets.rows.at(fold).test);
    labels.push_back(outcomes[fold].result.labels_M);
    for (const auto& [key, predicted_SM] : outcomes[fold].result.predicted)
      predicted[key].push_back(predicted_SM);
  }
  const at::Tensor order = at::cat(rows).argsort();
  HeadResult all = outcomes.front().result;
  all.num_train = sets.num_train();
  all.labels_M = at::cat(labels).index_select(0, order);
  all.contents = sets.train.contents;  // every sample of it is in one fold
  for (auto& [key, parts] : predicted)
    all.predicted[key] = at::cat(parts, 1).index_select(1, order);
  return all;
}

/// Mean and standard deviation of the folds' accuracies in place of the joined answers' accuracy.
void put_spread(const HeadResult& result, Json& json) {
  for (const auto& [key, predicted_SM] : result.predicted) {
    std::vector<double> accuracies;
    for (const Json& fold : json.at("folds"))
      accuracies.push_back(field_of(fold, "accuracy", key).get<double>());
    const at::Tensor values = at::tensor(accuracies, at::kDouble);
    const auto put = [&, key = key](const char* field, double value) {
      (key == 0 ? json[field] : json[field][std::to_string(key)]) = value;
    };
    put("accuracy", mean_of(values));
    put("spread", values.std().item<double>());
  }
}

}  // namespace

Json recalls(const at::Tensor& ranks_Q) {
  Json recall;
  for (const int64_t k : {1, 5, 10}) recall[std::to_string(k)] = metrics::recall_at(ranks_Q, k);
  return recall;
}

HeadResult result_on(const std::string& method, const HeadSets& sets, const HeadData& data) {
  return {method,           data.test.labels_N, data.train.label_names,
          data.num_classes, data.train.size(),  data.test.place,
          sets.split,       data.test.contents, {}};
}

void report_head(const HeadFlags& flags, const HeadOutcome& outcome) {
  Json json = as_json(flags, outcome.result);
  if (!outcome.chosen.is_null()) json["chosen"] = outcome.chosen;
  tell(flags, outcome.result, json);
}

void report_heads(const HeadFlags& flags, const HeadSets& sets,
                  const std::vector<HeadOutcome>& outcomes) {
  if (outcomes.size() == 1) return report_head(flags, outcomes.front());
  const HeadResult all = joined(sets, outcomes);
  Json json = as_json(flags, all);
  HeadFlags alone = flags;
  alone.against.clear();
  json["folds"] = Json::array();
  for (const HeadOutcome& outcome : outcomes) {
    Json fold = as_json(alone, outcome.result);
    for (const char* field : {"method", "split", "num_classes", "per_class"}) fold.erase(field);
    if (!outcome.chosen.is_null()) fold["chosen"] = outcome.chosen;
    json["folds"].push_back(std::move(fold));
  }
  put_spread(all, json);
  tell(flags, all, json);
}

}  // namespace vit22b
