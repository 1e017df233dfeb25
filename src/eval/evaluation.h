#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/watch.h"
#include "data/loader.h"
#include "dist/mesh.h"
#include "eval/evaluator.h"
#include "eval/predictions.h"
#include "model/predictor.h"

namespace vit22b {

/// How to evaluate.
struct EvalOptions {
  int64_t batch_size = 256;
  const Mesh* mesh =
      nullptr;  ///< ranks that share the samples along its data axis; null for one process
  int64_t num_workers = 0;
  double max_bad_fraction = 0.001;
  int64_t max_pixels = kMaxPixels;  ///< see LoaderOptions
  bool is_ragged = false;           ///< see LoaderOptions
  /// The model's classes that answers are taken from, in order; all of them where empty.
  std::vector<int64_t> classes = {};
  /// A stop on any rank ends the evaluation of all early. Told how many of this rank's samples are
  /// done.
  Watch watch = {};
  /// Told at the end, on every rank, what was left out, even where that is too much.
  std::function<void(const std::vector<BadSample>&)> on_bad_samples =
      [](const std::vector<BadSample>&) {};
};

/// The mesh of an evaluation's ranks.
const Mesh& mesh_of(const EvalOptions& options);

/// Runs over a source once, in order, each rank over its share along the data axis, batch by batch
/// together. Every rank acts on as many batches: on an empty one, without labels, where it has no
/// sample in it, so that an act may use the whole mesh.
///
/// act      may change its batch
/// returns  the samples left out since they cannot be read, of all ranks
/// throws   on every rank: DataError when too many samples of the source are bad, on whichever
///          ranks, or none could be read; Stopped
std::vector<BadSample> for_each_batch(const DataSource& source, const Transforms& transforms,
                                      const EvalOptions& options,
                                      const std::function<void(Batch&)>& act);

using Evaluators = std::vector<std::unique_ptr<Evaluator>>;

/// Runs a predictor once over a source, in order, each rank over its share, batch by batch
/// together, and shows each evaluator what it says; samples that cannot be read are left out and
/// listed. Where options.classes are set, answers are taken from them alone, and labels are
/// numbered anew.
///
/// returns  what each of them found, without settings and provenance
/// throws   as for_each_batch; DataError when a label is none of the classes; NumbersError for
///          answers that are not finite
std::vector<Result> evaluate(Predictor& predictor, const DataSource& source,
                             const Transforms& transforms, const EvalOptions& options,
                             const Evaluators& evaluators);

/// The same of what has been predicted already: options.batch_size samples at a time.
std::vector<Result> evaluate(const Predictions& predictions, const EvalOptions& options,
                             const Evaluators& evaluators);

}  // namespace vit22b
