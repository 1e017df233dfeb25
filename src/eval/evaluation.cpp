#include "eval/evaluation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/error.h"
#include "eval/checked_batch.h"
#include "eval/gathered.h"

namespace vit22b {
namespace {

std::vector<BadSample> all_bad_samples(const std::vector<BadSample>& own, const Mesh& mesh) {
  if (mesh.size(MeshAxis::kData) == 1) return own;
  nlohmann::json list = nlohmann::json::array();
  for (const BadSample& sample : own) list.push_back({sample.id, sample.reason});
  std::vector<BadSample> all;
  for (const auto& sample : gathered(list, mesh))
    all.push_back({sample[0].get<std::string>(), sample[1].get<std::string>()});
  return all;
}

/// This rank's share of a source; nothing where it has none.
std::unique_ptr<BatchLoader> open_share(const DataSource& source, const Transforms& transforms,
                                        const EvalOptions& options) {
  const Share share = mesh_of(options).share(MeshAxis::kData, source.size());
  if (share.count == 0) return nullptr;
  return std::make_unique<BatchLoader>(
      source, transforms,
      LoaderOptions{.batch_size = std::min(options.batch_size, share.count),
                    .first_index = static_cast<uint64_t>(share.first),
                    .num_samples = share.count,
                    .num_workers = options.num_workers,
                    .is_training = false,
                    .max_bad_fraction = options.max_bad_fraction,
                    .max_pixels = options.max_pixels,
                    .is_ragged = options.is_ragged});
}

}  // namespace

const Mesh& mesh_of(const EvalOptions& options) {
  return options.mesh != nullptr ? *options.mesh : single_process();
}

std::vector<BadSample> for_each_batch(const DataSource& source, const Transforms& transforms,
                                      const EvalOptions& options,
                                      const std::function<void(Batch&)>& act) {
  const Mesh& mesh = mesh_of(options);
  const std::unique_ptr<BatchLoader> loader = open_share(source, transforms, options);
  const auto num_batches = std::llround(
      mesh.max(loader ? static_cast<double>(loader->num_batches()) : 0, MeshAxis::kAll));
  int64_t done = 0;
  for (int64_t i = 0; i < num_batches; ++i) {
    Batch batch;
    mesh.agree([&] {
      if (loader) loader->next(batch);
    });
    if (mesh.any(options.watch.should_stop()))
      throw Stopped("stopped during an evaluation; nothing of it is kept");
    const int64_t count = batch.labels_B.defined() ? batch.labels_B.size(0) : 0;
    act(batch);
    if (count == 0) continue;
    done += count;
    options.watch.on_progress(done, mesh.share(MeshAxis::kData, source.size()).count);
  }
  std::vector<BadSample> bad =
      all_bad_samples(loader ? loader->bad_samples() : std::vector<BadSample>(), mesh);
  options.on_bad_samples(bad);
  // No loader has seen more than its share.
  check_bad_samples(bad.size(), source.size(), options.max_bad_fraction,
                    bad.empty() ? "" : bad.back().reason);
  if (mesh.sum(static_cast<double>(done), MeshAxis::kData) == 0)
    throw DataError("no sample could be read; nothing to evaluate");
  return bad;
}

namespace {

std::vector<Result> results_of(const Evaluators& evaluators, const Mesh& mesh) {
  std::vector<Result> results;
  results.reserve(evaluators.size());
  for (const auto& evaluator : evaluators) results.push_back(evaluator->finish(mesh));
  return results;
}

std::vector<std::string> ids_of(const Predictions& predictions, int64_t first, int64_t count) {
  std::vector<std::string> ids;
  for (int64_t i = first; i < first + count; ++i)
    ids.push_back(predictions.ids.empty() ? concat("sample ", i)
                                          : predictions.ids[static_cast<size_t>(i)]);
  return ids;
}

}  // namespace

std::vector<Result> evaluate(Predictor& predictor, const DataSource& source,
                             const Transforms& transforms, const EvalOptions& options,
                             const Evaluators& evaluators) {
  const at::NoGradGuard no_grad;
  const Mesh& mesh = mesh_of(options);
  const auto act = [&](Batch& batch) {
    const at::Tensor images_BCHW = batch.images_BCHW();
    at::Tensor logits_BC;
    if (images_BCHW.defined())
      logits_BC = predictor.logits(images_BCHW).cpu();
    else if (mesh.size(MeshAxis::kAll) > 1)
      predictor.attend();
    PredictedBatch predicted;
    mesh.agree([&] {
      if (images_BCHW.defined())
        predicted = checked({logits_BC, batch.labels_B, batch.indices_B, batch.ids}, options);
    });
    if (!images_BCHW.defined()) return;
    for (const auto& evaluator : evaluators) evaluator->add(predicted);
  };
  const std::vector<BadSample> bad_samples = for_each_batch(source, transforms, options, act);
  std::vector<Result> results = results_of(evaluators, mesh);
  for (Result& result : results) result.bad_samples = bad_samples;
  return results;
}

std::vector<Result> evaluate(const Predictions& predictions, const EvalOptions& options,
                             const Evaluators& evaluators) {
  const Mesh& mesh = mesh_of(options);
  if (predictions.size() == 0) throw DataError(predictions.place, " has no samples");
  const Share share = mesh.share(MeshAxis::kData, predictions.size());
  mesh.agree([&] {
    for (int64_t done = 0; done < share.count;) {
      const int64_t first = share.first + done,
                    count = std::min(options.batch_size, share.count - done);
      const PredictedBatch batch = checked(
          {predictions.logits(first, count), predictions.labels_N.narrow(0, first, count),
           predictions.indices_N.narrow(0, first, count), ids_of(predictions, first, count)},
          options, predictions.place);
      for (const auto& evaluator : evaluators) evaluator->add(batch);
      done += count;
      options.watch.on_progress(done, share.count);
      if (options.watch.should_stop())
        throw Stopped("stopped during an evaluation; nothing of it is kept");
    }
  });
  return results_of(evaluators, mesh);
}

}  // namespace vit22b
