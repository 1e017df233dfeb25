#include "measure/comparison.h"

#include <ATen/ATen.h>

#include "core/error.h"
#include "eval/prediction_file.h"

namespace vit22b {
namespace {

/// Which samples some runs have right, [S, M] float64, one row a run; all of the samples of
/// `first`.
at::Tensor read_runs(const std::vector<std::string>& paths, int64_t key,
                     const PredictionFile& first) {
  std::vector<at::Tensor> rows;
  for (const std::string& path : paths) {
    const PredictionFile file(path);
    if (path != first.path()) file.check_same_samples(first);
    rows.push_back(file.predicted(key).eq(first.labels().unsqueeze(0)).to(at::kDouble));
  }
  return at::cat(rows);
}

}  // namespace

PairedDifference compare_predictions(const std::vector<std::string>& runs,
                                     const std::vector<std::string>& against, int64_t key,
                                     uint64_t seed) {
  const PredictionFile first(runs.front());
  const at::Tensor ours_SM = read_runs(runs, key, first),
                   theirs_SM = read_runs(against, key, first);
  if (ours_SM.size(0) != theirs_SM.size(0))
    throw UsageError(ours_SM.size(0), " runs against ", theirs_SM.size(0),
                     "; give pairs, in order");
  const at::Tensor gain = ours_SM - theirs_SM;
  PairedDifference difference;
  for (int64_t i = 0; i < gain.size(0); ++i)
    difference.runs.push_back(
        {ours_SM[i].mean().item<double>(), theirs_SM[i].mean().item<double>()});
  difference.mean = gain.mean().item<double>();
  difference.interval = metrics::bootstrap_interval(gain, seed);
  return difference;
}

}  // namespace vit22b
