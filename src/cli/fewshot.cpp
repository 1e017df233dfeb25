#include <CLI/CLI.hpp>
#include <set>

#include "cli/head_report.h"
#include "core/log.h"
#include "transfer/ridge.h"

namespace vit22b {
namespace {

struct FewshotFlags {
  HeadFlags head;
  std::vector<int64_t> shots = {1, 5, 10, 25};
  int64_t draws = 3;
  double l2 = 1024;  // big_vision's evaluations: 2^10
};

void warn_of_small_classes(const HeadData& data, const std::vector<int64_t>& shots) {
  const at::Tensor counts = class_counts(data.train.labels_N, data.num_classes);
  const int64_t most = *std::max_element(shots.begin(), shots.end());
  const auto none = counts.eq(0).sum().item<int64_t>(),
             few = counts.lt(most).sum().item<int64_t>() - none;
  if (none > 0)
    log_warn(concat(none, " classes have no training sample: none of their images can be right"));
  if (few > 0)
    log_warn(concat(few, " classes have fewer than ", most,
                    " training samples; all of theirs are used"));
}

HeadAnswers test_shots(const FewshotFlags& flags, const HeadSets& sets, const HeadData& data) {
  HeadAnswers answers = answers_on("fewshot", sets, data);
  answers.chosen = {{"l2", flags.l2}, {"draws", flags.draws}};
  for (const int64_t shots : std::set<int64_t>(flags.shots.begin(), flags.shots.end())) {
    std::vector<at::Tensor> draws;
    for (int64_t draw = 0; draw < flags.draws; ++draw) {
      const auto seed = static_cast<uint64_t>(flags.head.common.seed + draw);
      const LabelledFeatures few =
          data.train.subset(draw_shots(data.train.labels_N, data.num_classes, shots, seed));
      draws.push_back(fit_ridge(few.features_ND, few.labels_N, data.num_classes, flags.l2)
                          .scores(data.test.features_ND)
                          .argmax(1));
    }
    answers.predicted[shots] = at::stack(draws);
  }
  return answers;
}

void run_fewshot(const FewshotFlags& flags) {
  const Device device = begin_command(flags.head.common);
  const HeadSets sets = open_head_sets(flags.head, device);
  report_heads(flags.head, sets, [&](size_t fit) {
    const HeadData data = sets.at(fit);
    if (fit == 0) warn_of_small_classes(data, flags.shots);
    return test_shots(flags, sets, data);
  });
}

}  // namespace

void add_fewshot(CLI::App& app) {
  auto flags = std::make_shared<FewshotFlags>();
  CLI::App* command = app.add_subcommand(
      "fewshot", "accuracy of least squares on a few samples a class (big_vision's fewshot_lsr)");
  add_head_flags(*command, flags->head);
  command->add_option("--shots", flags->shots, "training samples a class")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--draws", flags->draws, "draws of the samples, seeds S, S + 1, ...")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--l2", flags->l2, "penalty")->capture_default_str()->check(above_zero);
  command->callback([flags] { run_fewshot(*flags); });
}

}  // namespace vit22b
