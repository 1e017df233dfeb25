#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "eval/depth_predictor.h"
#include "eval/evaluation.h"
#include "measure/depth.h"

namespace vit22b {

/// One picture, and what is said of it.
struct MeasuredPicture {
  const std::string& id;
  int64_t index;            ///< in the source
  at::Tensor predicted_HW;  ///< float32 metres, in the picture's size
  at::Tensor truth_HW;      ///< the same; undefined where the source has no depth maps
};
using TellDepth = std::function<void(const MeasuredPicture& picture)>;

/// Runs a predictor over a source, whose depth maps are of metres if there are any, in order, each
/// rank over its share.
///
/// backbone    the predictor's, which attends for ranks that have fewer pictures
/// transforms  of images; depth maps stay as large as their pictures
/// returns     the samples that were left out
/// throws      as for_each_batch; DataError for a depth map of another size than its picture
std::vector<BadSample> depth_all(DepthPredictor& predictor, Predictor& backbone,
                                 const DataSource& source, const Transforms& transforms,
                                 const EvalOptions& options, const TellDepth& tell);

/// What depth_all says, measured.
Result measure_depth(DepthPredictor& predictor, Predictor& backbone, const DataSource& source,
                     const Transforms& transforms, const EvalOptions& options,
                     DepthMeasure measure);

}  // namespace vit22b
