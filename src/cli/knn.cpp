#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/head_command.h"
#include "core/error.h"
#include "transfer/neighbors.h"

namespace vit22b {
namespace {

struct KnnFlags {
  HeadFlags head;
  std::vector<int64_t> ks = {10, 20, 100, 200};
  double temperature = 0.07;
};

void run_knn(const KnnFlags& flags) {
  const Device device = begin_command(flags.head.common);
  const HeadData data = open_head_data(flags.head, device);
  for (const int64_t k : flags.ks)
    if (k > data.train.size())
      throw UsageError("--k ", k, ": there are ", data.train.size(), " training samples");
  HeadResult result = result_on("knn", data);
  for (auto& [k, predicted] :
       classify_by_neighbors(data.train.features_ND, data.train.labels_N, data.test.features_ND,
                             flags.ks, flags.temperature))
    result.predicted[k] = predicted.unsqueeze(0);
  report_head(flags.head, result, {});
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
      ->check(CLI::PositiveNumber);
  command->callback([flags] { run_knn(*flags); });
}

}  // namespace vit22b
