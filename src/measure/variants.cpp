#include "measure/variants.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text_table.h"
#include "data/delimited.h"
#include "measure/named_rows.h"
#include "metrics/interval.h"
#include "metrics/undefined.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEffectiveRobustness =
    "accuracy less what other models have of the same accuracy on the tested pictures, by a line "
    "between log odds";

/// A set's results among timm's, without ".csv".
struct ResultNames {
  std::string of_set, of_known;
};

ResultNames result_names(const std::string& name) {
  if (name == "a" || name == "r")
    return {concat("results-imagenet-", name), concat("results-imagenet-", name, "-clean")};
  if (name == "v2") return {"results-imagenetv2-matched-frequency", "results-imagenet"};
  if (name == "real") return {"results-imagenet-real", "results-imagenet"};
  return {concat("results-", name), "results-imagenet"};
}

size_t column(const std::vector<std::string>& header, const std::string& name) {
  return static_cast<size_t>(std::find(header.begin(), header.end(), name) - header.begin());
}

/// Top-1 by model and size of its pictures, 0 to 1.
std::map<std::string, double> read_top1(const fs::path& file) {
  const std::string text = read_text(file, ExitCode::kData, kLargestTable);
  DelimitedReader reader(without_byte_order_mark(text), ',', file.string());
  const std::vector<std::string> header = reader.next().value_or(std::vector<std::string>());
  const size_t model = column(header, "model"), top1 = column(header, "top1"),
               size = column(header, "img_size");
  if (model == header.size() || top1 == header.size())
    throw DataError(file.string(), " has no columns `model` and `top1`");
  std::map<std::string, double> shares;
  while (const auto row = reader.next()) {
    const auto number = top1 < row->size() ? leading_number((*row)[top1]) : std::nullopt;
    if (!number || !number->second.empty() || !(number->first >= 0 && number->first <= 100))
      throw DataError(file.string(), ":", reader.line(), ": top1 is no number from 0 to 100");
    const std::string pixels = size < row->size() ? (*row)[size] : "";
    shares[(*row)[model] + "\n" + pixels] = number->first / 100;
  }
  return shares;
}

std::string shown_share(double share) {
  return std::isnan(share) ? "-" : formatted("%.2f %%", 100 * share);
}

double effective_robustness(const Variant& variant) {
  return variant.baseline.num_points == 0
             ? metrics::kUndefined
             : variant.own.share() - variant.baseline.at(variant.known.share());
}

}  // namespace

double RightShare::share() const {
  return num_examples == 0 ? metrics::kUndefined
                           : static_cast<double>(num_right) / static_cast<double>(num_examples);
}

RightShare right_share(const Predictions& predictions, const RightAnswers& right,
                       const std::vector<int64_t>& classes) {
  constexpr int64_t kRows = 1024;
  const at::Tensor columns = at::tensor(classes, at::kLong);
  RightShare share;
  for (int64_t first = 0; first < predictions.size(); first += kRows) {
    at::Tensor logits = predictions.logits(first, std::min(kRows, predictions.size() - first));
    if (!classes.empty()) logits = logits.index_select(1, columns);
    const at::Tensor answers = logits.argmax(1);
    for (int64_t i = 0; i < answers.size(0); ++i) {
      const auto sample = static_cast<size_t>(predictions.indices_N[first + i].item<int64_t>());
      const int64_t place = right.set_of.at(sample);
      if (place < 0) continue;
      const std::vector<int64_t>& set = right.sets[static_cast<size_t>(place)];
      const auto is_answer = [&](int64_t one) {
        return std::binary_search(classes.begin(), classes.end(), one);
      };
      if (!classes.empty() && std::none_of(set.begin(), set.end(), is_answer)) continue;
      const int64_t column = answers[i].item<int64_t>(),
                    answer = classes.empty() ? column : classes[static_cast<size_t>(column)];
      share.num_right += std::binary_search(set.begin(), set.end(), answer) ? 1 : 0;
      ++share.num_examples;
    }
  }
  return share;
}

metrics::LogitLine baseline_of(const fs::path& folder, const std::string& name) {
  const ResultNames names = result_names(name);
  const fs::path own = folder / (names.of_set + ".csv"), known = folder / (names.of_known + ".csv");
  std::error_code error;
  if (!fs::exists(own, error)) {
    if (!fs::is_directory(folder, error))
      throw DataError(folder.string(), " is no folder of results-*.csv");
    log_warn(concat(folder.string(), " has no ", own.filename().string(), ": the set ", name,
                    " has no effective robustness"));
    return {};
  }
  const std::map<std::string, double> of_known = read_top1(known);
  std::vector<double> x, y;
  for (const auto& [model, top1] : read_top1(own))
    if (const auto it = of_known.find(model); it != of_known.end())
      x.push_back(it->second), y.push_back(top1);
  const metrics::LogitLine line = metrics::fit_logit_line(x, y);
  if (std::isnan(line.slope))
    log_warn(concat(own.string(), " has ", line.num_points, " models in common with ",
                    known.string(), ", which give no line: the set ", name,
                    " has no effective robustness"));
  return line;
}

void add_variants(const std::vector<Variant>& variants, Result& result) {
  using enum TextTable::Align;
  TextTable text({kLeft, kRight, kLeft, kRight, kRight, kRight, kRight});
  text.add({"set", "top-1", "95 %", "pictures", "classes", "tested, same classes",
            "effective robustness"});
  for (const Variant& one : variants) {
    const std::string name = "sets." + one.name;
    const metrics::Interval interval =
        metrics::wilson_interval(one.own.num_right, one.own.num_examples);
    const double effective = effective_robustness(one);
    for (const auto& [key, value] : NamedCells{{"source", one.place},
                                               {"answers_by", one.by},
                                               {"crop", one.crop},
                                               {"num_classes", one.num_classes},
                                               {"num_left_out", one.num_left_out},
                                               {"baselines", one.baseline.num_points}})
      result.settings.emplace_back(concat(name, ".", key), value);
    result.numbers.push_back(
        {{name + ".accuracy", "share", Better::kLarger}, one.own.share(), interval});
    result.numbers.push_back(
        {{name + ".tested_accuracy", "share", Better::kLarger}, one.known.share()});
    result.numbers.push_back({{name + ".num_examples", "images"},
                              static_cast<double>(one.own.num_examples),
                              {},
                              /*is_count=*/true});
    result.numbers.push_back(
        {{"effective_robustness." + one.name, "share", Better::kLarger}, effective});
    text.add(
        {one.name, shown_share(one.own.share()),
         concat(formatted("%.2f to ", 100 * interval.low), formatted("%.2f", 100 * interval.high)),
         std::to_string(one.own.num_examples), std::to_string(one.num_classes),
         shown_share(one.known.share()),
         std::isnan(effective) ? "-" : formatted("%+.2f %%", 100 * effective)});
  }
  result.settings.emplace_back("definitions.effective_robustness", kEffectiveRobustness);
  result.settings.emplace_back(
      "definitions.tested_accuracy",
      "of the tested pictures of a set's classes, answers from those alone");
  result.lines += text.text();
}

}  // namespace vit22b
