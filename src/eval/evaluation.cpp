#include "eval/evaluation.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/error.h"

namespace vit22b {
namespace {

std::vector<BadSample> all_bad_samples(const std::vector<BadSample>& own, const Mesh& mesh) {
  if (mesh.size(MeshAxis::kData) == 1) return own;
  nlohmann::json list = nlohmann::json::array();
  for (const BadSample& sample : own) list.push_back({sample.id, sample.reason});
  std::vector<BadSample> all;
  for (const std::string& text : mesh.gather_text(
           list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), MeshAxis::kData))
    for (const auto& sample : nlohmann::json::parse(text))
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
                    .max_pixels = options.max_pixels});
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
    if (mesh.any(options.should_stop()))
      throw Stopped("stopped during an evaluation; nothing of it is kept");
    const int64_t count = batch.labels_B.defined() ? batch.labels_B.size(0) : 0;
    act(batch);
    if (count == 0) continue;
    done += count;
    options.on_progress(done);
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

}  // namespace vit22b
