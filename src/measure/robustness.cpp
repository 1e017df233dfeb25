#include "measure/robustness.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "core/text_table.h"
#include "data/corrupted_source.h"
#include "data/corruptions/corruption.h"
#include "measure/defined_number.h"
#include "measure/registry.h"
#include "metrics/undefined.h"

namespace vit22b {
namespace {

using Form = ResultTable::Form;

constexpr const char* kExtra = "extra";

/// A mean in the making; NaN of nothing.
struct Means {
  RobustnessScore sum;
  int64_t count = 0;

  void add(const RobustnessScore& score) {
    sum.accuracy += score.accuracy, sum.nll += score.nll, sum.ece += score.ece;
    ++count;
  }
  RobustnessScore mean() const {
    const auto n = static_cast<double>(count);
    return count == 0
               ? RobustnessScore{metrics::kUndefined, metrics::kUndefined, metrics::kUndefined}
               : RobustnessScore{sum.accuracy / n, sum.nll / n, sum.ece / n};
  }
};

/// A corruption's means over its severities.
struct Corrupted {
  std::string name, group;
  RobustnessScore mean;
};

std::vector<Corrupted> by_corruption(const Robustness& robustness) {
  std::vector<Corrupted> all;
  std::map<std::string, Means> means;
  for (const Robustness::Row& row : robustness.rows) {
    if (means.count(row.corruption) == 0) all.push_back({row.corruption, row.group, {}});
    means[row.corruption].add(row.score);
  }
  for (Corrupted& one : all) one.mean = means.at(one.name).mean();
  return all;
}

bool is_counted(const Corrupted& one) {
  return one.group != kExtra;
}

void add_scores(const std::string& name, const RobustnessScore& score, Result& result) {
  result.numbers.push_back({{name + ".accuracy", "share", Better::kLarger}, score.accuracy});
  result.numbers.push_back({{name + ".nll", "nats", Better::kSmaller}, score.nll});
  result.numbers.push_back({{name + ".ece", "share", Better::kSmaller}, score.ece});
}

void add_row(const std::string& name, const RobustnessScore& score, TextTable& text) {
  text.add({name, formatted("%.2f %%", 100 * score.accuracy), formatted("%.4f", score.nll),
            formatted("%.4f", score.ece)});
}

std::string join_numbers(const std::vector<int64_t>& numbers) {
  std::vector<std::string> words(numbers.size());
  std::transform(numbers.begin(), numbers.end(), words.begin(),
                 [](int64_t number) { return concat(number); });
  return join(words, ",");
}

// The errors of corruptions beside the reference's; NaN where it has not all of them.
struct CorruptionErrors {
  double mean = metrics::kUndefined, relative = metrics::kUndefined;
};
CorruptionErrors corruption_errors(const std::vector<Corrupted>& all, double clean_error,
                                   const RobustnessReference& reference) {
  double sum = 0, relative = 0;
  int64_t count = 0;
  for (const Corrupted& one : all) {
    if (!is_counted(one)) continue;
    const auto it = reference.errors.find(one.name);
    if (it == reference.errors.end()) return {};
    const double error = 1 - one.mean.accuracy, lost = it->second - reference.clean_error;
    // Beside a reference without errors, or that loses nothing, there is no share.
    sum += it->second > 0 ? error / it->second : metrics::kUndefined;
    relative += lost > 0 ? (error - clean_error) / lost : metrics::kUndefined;
    ++count;
  }
  const auto n = static_cast<double>(count);
  return count == 0 ? CorruptionErrors() : CorruptionErrors{sum / n, relative / n};
}

RobustnessScore score_of(const Result& result) {
  return {result.number("top1"), result.number("nll"), result.number("ece")};
}

ResultTable severity_table(const Robustness& robustness) {
  ResultTable table{
      "by_severity", Form::kRecords, {"corruption", "severity", "accuracy", "nll", "ece"}, {}};
  for (const Robustness::Row& row : robustness.rows)
    table.rows.push_back(
        {row.corruption, row.severity, row.score.accuracy, row.score.nll, row.score.ece});
  return table;
}

void add_corruption_errors(const std::vector<Corrupted>& all, const Robustness& robustness,
                           const RobustnessReference* reference, Result& result) {
  const CorruptionErrors errors =
      reference == nullptr ? CorruptionErrors()
                           : corruption_errors(all, 1 - robustness.clean.accuracy, *reference);
  const std::string against = reference == nullptr ? "no reference" : reference->name;
  result.settings.emplace_back("reference", reference == nullptr ? "" : reference->name);
  add_defined(result, {{"mce", "", Better::kSmaller}, errors.mean},
              concat("mean over corruptions of error / error of ", against));
  add_defined(result, {{"relative_mce", "", Better::kSmaller}, errors.relative},
              concat("the same of what is lost: (error - clean error) / that of ", against));
}

}  // namespace

RobustnessReference alexnet_reference() {
  return {"AlexNet on ImageNet-C",
          .4348,
          {{"gaussian_noise", .886},
           {"shot_noise", .894},
           {"impulse_noise", .923},
           {"defocus_blur", .820},
           {"glass_blur", .826},
           {"motion_blur", .786},
           {"zoom_blur", .798},
           {"snow", .867},
           {"frost", .827},
           {"fog", .819},
           {"brightness", .565},
           {"contrast", .853},
           {"elastic_transform", .646},
           {"pixelate", .718},
           {"jpeg_compression", .607}}};
}

RobustnessReference read_robustness_reference(const std::filesystem::path& file) {
  const auto json = nlohmann::json::parse(read_text(file, ExitCode::kData), nullptr,
                                          /*allow_exceptions=*/false);
  RobustnessReference reference{file.string(), 0, {}};
  try {
    reference.clean_error = 1 - json.at("clean").at("accuracy").get<double>();
    for (const auto& [name, scores] : json.at("by_corruption").items())
      reference.errors[name] = 1 - scores.at("accuracy").get<double>();
    std::set<int64_t> severities;
    for (const auto& row : json.at("by_severity"))
      severities.insert(row.at("severity").get<int64_t>());
    reference.severities.assign(severities.begin(), severities.end());
    reference.seed = json.at("seed").get<uint64_t>();
    reference.fingerprint = json.at("provenance").at("fingerprint").get<std::string>();
  } catch (const nlohmann::json::exception&) {
    throw DataError(file.string(), " is no result of `vit22b eval robustness --json`");
  }
  return reference;
}

void RobustnessReference::check(const std::vector<int64_t>& of_severities,
                                const std::string& samples, uint64_t of_seed) const {
  const std::set<int64_t> own(severities.begin(), severities.end()),
      asked(of_severities.begin(), of_severities.end());
  if (own != asked)
    throw UsageError("--reference ", name, " is of severities ", join_numbers(severities),
                     ", not of ", join_numbers(of_severities));
  if (!fingerprint.empty() && fingerprint != samples)
    throw UsageError("--reference ", name, " is of other samples than these");
  if (seed && *seed != of_seed)
    throw UsageError("--reference ", name, " is of other pictures: of --seed ", *seed, ", not ",
                     of_seed);
}

Robustness measure_robustness(Predictor& predictor, const std::shared_ptr<const DataSource>& source,
                              const Transforms& transforms, const EvalOptions& options,
                              const RobustnessRequest& request) {
  std::map<std::string, std::string> groups;
  for (const Corruption& corruption : corruptions()) groups[corruption.name] = corruption.group;
  for (const std::string& name : request.corruptions) make_corrupted(source, name, 1, request.seed);
  const auto evaluators = [&] {
    Evaluators all;
    all.push_back(make_evaluator("classification", request.evaluator));
    return all;
  };
  const auto result_of = [&](const DataSource& of) {
    return evaluate(predictor, of, transforms, options, evaluators()).front();
  };
  const Result clean = request.clean != nullptr
                           ? evaluate(request.clean->predictions, options, evaluators()).front()
                           : result_of(*source);
  Robustness robustness{.clean = score_of(clean)};
  robustness.num_examples = std::llround(clean.number("num_examples"));
  if (request.clean == nullptr) robustness.bad_samples = clean.bad_samples;
  for (const std::string& name : request.corruptions)
    for (const int64_t severity : request.severities) {
      const auto spoilt = make_corrupted(source, name, severity, request.seed);
      robustness.rows.push_back({name, groups[name], severity, score_of(result_of(*spoilt))});
      log_info(concat(name, " ", severity,
                      formatted(": %.2f %%", 100 * robustness.rows.back().score.accuracy)));
    }
  return robustness;
}

Result robustness_result(const Robustness& robustness, const RobustnessReference* reference) {
  Result result{"robustness", {}, {}};
  const std::vector<Corrupted> all = by_corruption(robustness);
  using enum TextTable::Align;
  TextTable text({kLeft, kRight, kRight, kRight});
  text.add({"", "top-1", "nll", "ece"});
  add_scores("clean", robustness.clean, result);
  add_row("clean", robustness.clean, text);
  Means means;
  for (const Corrupted& one : all) {
    add_scores("by_corruption." + one.name, one.mean, result);
    add_row(one.name, one.mean, text);
    if (is_counted(one)) means.add(one.mean);
  }
  if (!all.empty()) {
    add_scores("mean", means.mean(), result);
    add_row("mean", means.mean(), text);
  }
  result.lines = text.text();
  if (!all.empty()) add_corruption_errors(all, robustness, reference, result);
  result.numbers.push_back({{"num_examples", "images"},
                            static_cast<double>(robustness.num_examples),
                            {},
                            /*is_count=*/true});
  if (!all.empty()) result.tables = {severity_table(robustness)};
  result.bad_samples = robustness.bad_samples;
  return result;
}

}  // namespace vit22b
