#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "data/batch.h"
#include "eval/pixel_predictor.h"

namespace vit22b {

/// A batch's field, a sample each, whether or not its sizes differ; none where it has none.
std::vector<at::Tensor> each_of(const Batch& batch, const std::string& name);

/// The views of a batch's images: of all together where they have one size.
std::vector<ViewScores> views_of(
    const Batch& batch,
    const std::function<std::vector<ViewScores>(const at::Tensor& images_BCHW)>& views);
/// How often that runs the model, if `passes` says it of a batch of one size.
int64_t passes_of(const Batch& batch,
                  const std::function<int64_t(int64_t height, int64_t width)>& passes);

/// throws  DataError naming the picture where what was measured has not its size
void check_sizes(const at::Tensor& predicted_HW, const at::Tensor& truth_HW, const std::string& id,
                 const char* truth);

/// Warns of a view that leaves out a part of its picture.
///
/// returns  whether it has
bool warn_of_cut(const Geometry& geometry, const ViewScores& view, const std::string& id);

}  // namespace vit22b
