#include <CLI/CLI.hpp>

#include "cli/head_report.h"
#include "core/error.h"
#include "core/log.h"
#include "transfer/neighbors.h"

namespace vit22b {
namespace {

struct KnnFlags {
  HeadFlags head;
  std::vector<int64_t> ks = {10, 20, 100, 200};
  bool has_ks = false;  ///< a user gave them
  double temperature = 0.07;
};

/// The numbers of neighbours that there are enough training samples for.
std::vector<int64_t> ks_for(const KnnFlags& flags, int64_t num_train) {
  std::vector<int64_t> ks;
  for (const int64_t k : flags.ks) {
    if (k > num_train && flags.has_ks)
      throw UsageError("--k ", k, ": there are ", num_train, " training samples");
    if (k <= num_train) ks.push_back(k);
  }
  if (ks.empty()) ks = {1};
  if (ks != flags.ks)
    log_warn(concat("there are ", num_train,
                    " training samples: larger k are left out; --k chooses others"));
  return ks;
}

void run_knn(const KnnFlags& flags) {
  const Device device = begin_command(flags.head.common);
  const HeadSets sets = open_head_sets(flags.head, device);
  const std::vector<int64_t> ks = ks_for(flags, sets.num_train());
  report_heads(flags.head, sets, [&](size_t fit) {
    const HeadData data = sets.at(fit);
    HeadAnswers answers = answers_on("knn", sets, data);
    for (auto& [k, predicted] : classify_by_neighbors(data.train.features_ND, data.train.labels_N,
                                                      data.test.features_ND, ks, flags.temperature))
      answers.predicted[k] = predicted.unsqueeze(0);
    return answers;
  });
}

}  // namespace

void add_knn(CLI::App& app) {
  auto flags = std::make_shared<KnnFlags>();
  CLI::App* command =
      app.add_subcommand("knn", "accuracy of the k nearest training samples by cosine similarity");
  add_head_flags(*command, flags->head);
  command->add_option("--k", flags->ks, "numbers of neighbours")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  command->add_option("--temperature", flags->temperature, "of the votes, exp(similarity / T)")
      ->capture_default_str()
      ->check(above_zero);
  command->callback([flags, command] {
    flags->has_ks = command->count("--k") > 0;
    run_knn(*flags);
  });
}

}  // namespace vit22b
