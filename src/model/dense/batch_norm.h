#pragma once
#include <ATen/core/Tensor.h>

#include "dist/mesh.h"
#include "model/weight_store.h"

namespace vit22b {

/// PyTorch's default, which all published heads have.
constexpr double kBatchNormEps = 1e-5;

/// Batch norm over all dims but the channels', in float32; in training by the statistics of all
/// ranks' values together.
class BatchNorm {
 public:
  /// weights      NAME.weight, NAME.bias, NAME.running_mean, NAME.running_var, [C] each
  /// is_training  by the batch's statistics, else by the running ones
  /// statistics   receives, in training, for each running statistic how far it is from the batch's
  ///              (whose variance is the unbiased one), by its local name: what a rule of
  ///              ParameterGroup::kStatistic takes for a gradient
  BatchNorm(const NamedTensors& weights, bool is_training, const Mesh& mesh,
            NamedTensors& statistics)
      : weights_(weights), is_training_(is_training), mesh_(mesh), statistics_(statistics) {}

  /// x  [B, C, ...] or [N, C], float32; differentiable
  ///
  /// throws  UsageError in training for a single value a channel
  at::Tensor operator()(const std::string& name, const at::Tensor& x) const;

 private:
  at::Tensor by_batch(const std::string& name, const at::Tensor& x) const;
  void note(const std::string& name, const at::Tensor& mean, const at::Tensor& variance) const;

  const NamedTensors& weights_;
  bool is_training_;
  const Mesh& mesh_;
  NamedTensors& statistics_;
};

}  // namespace vit22b
