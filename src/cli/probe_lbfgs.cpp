#include "cli/head_report.h"
#include "cli/probe_methods.h"
#include "core/device.h"
#include "core/error.h"
#include "core/log.h"
#include "core/watch.h"
#include "transfer/head_choice.h"
#include "transfer/logistic.h"

namespace vit22b {
namespace {

LogisticFit fit(const ProbeFlags& flags, const HeadData& data, const LabelledFeatures& train,
                double c, const LinearHead* start = nullptr) {
  LogisticFit done = fit_logistic(train.features_ND, train.labels_N, data.num_classes, c,
                                  {.tolerance = flags.tolerance,
                                   .max_iterations = flags.max_iterations,
                                   .watch = watch_signals()},
                                  start);
  log_info(concat("C ", c, ": ", done.report.iterations, " iterations, largest gradient ",
                  done.report.largest_gradient,
                  done.report.has_converged ? "" : ", not converged"));
  return done;
}

/// Says what a large fit takes before it starts, and refuses what this machine does not have.
void check_memory(const ProbeFlags& flags, const HeadData& data) {
  constexpr int64_t kWorthSaying = int64_t{1} << 30;
  const int64_t num = data.train.size(), width = data.train.features_ND.size(1);
  // A part held out leaves a copy of the others.
  const int64_t copies = flags.c > 0 ? 0 : static_cast<int64_t>(data.train.features_ND.nbytes());
  const int64_t bytes = copies + logistic_bytes(num, width, data.num_classes, {});
  if (bytes < kWorthSaying) return;
  const auto text = [](int64_t size) { return human_bytes(static_cast<double>(size)); };
  const std::string what =
      concat("lbfgs in float64 on ", num, " samples of ", width, " features and ", data.num_classes,
             " classes takes up to ", text(bytes), " of memory");
  const int64_t free = host_memory_bytes() - resident_bytes();
  if (bytes > free)
    throw UsageError(what, ", of which this machine has ", text(std::max<int64_t>(0, free)),
                     " left; use --method grid or sgd, which take a batch at a time");
  log_info(what);
}

HeadAnswers test_lbfgs(const ProbeFlags& flags, const HeadSets& sets, const HeadData& data) {
  check_memory(flags, data);
  HeadAnswers answers = answers_on("lbfgs", sets, data);
  double c = flags.c;
  if (c <= 0) {
    const HoldOut parts =
        hold_out(data.train.size(), flags.hold_out, static_cast<uint64_t>(flags.head.common.seed));
    const PenaltyChoice choice =
        choose_penalty(data.train, parts, penalty_path(flags.path),
                       [&](const LabelledFeatures& train, double tried, const LinearHead* start) {
                         return fit(flags, data, train, tried, start);
                       });
    c = choice.c;
    answers.chosen = {{"held_out_accuracy", choice.held_out_accuracy}};
  }
  const LogisticFit best = fit(flags, data, data.train, c);
  answers.chosen.insert(answers.chosen.end(), {{"c", c},
                                               {"iterations", best.report.iterations},
                                               {"largest_gradient", best.report.largest_gradient},
                                               {"has_converged", best.report.has_converged}});
  answers.predicted[0] = best.head.scores(data.test.features_ND).argmax(1).unsqueeze(0);
  return answers;
}

}  // namespace

void run_lbfgs_probe(const ProbeFlags& flags, const Device& device) {
  const HeadSets sets = open_head_sets(flags.head, device);
  report_heads(flags.head, sets, [&](size_t fit) { return test_lbfgs(flags, sets, sets.at(fit)); });
}

}  // namespace vit22b
