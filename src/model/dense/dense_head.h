#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "model/dense/head_config.h"
#include "model/parameter_table.h"
#include "model/weight_store.h"

namespace vit22b {

/// A training step's pass through a dense head; without one it is inference.
struct DensePass {
  const Mesh& mesh;
  uint64_t seed = 0;  ///< with the step and a sample's number: the key of dropout
  int64_t step = 0;
  at::Tensor samples_B;      ///< int64, numbers in the source
  NamedTensors& statistics;  ///< receives what BatchNorm gives
};

/// What a head says of each patch, or of finer places.
struct DenseScores {
  at::Tensor main_BHWC;
  at::Tensor aux_BHWC;  ///< of the auxiliary head in training; else undefined
};

/// A head that says something of every place of a picture: functions over named tensors, in
/// float32. Each is one file and one line of the list in heads.cpp.
class DenseHead {
 public:
  virtual ~DenseHead() = default;
  /// Its parameters by local name ("head.weight"); group, initialiser and shape, no unit.
  virtual std::vector<ParameterRow> rows() const = 0;
  /// maps_BHWD  as PatchMaps gives them
  /// training   null for inference
  virtual DenseScores forward(const NamedTensors& weights, const std::vector<at::Tensor>& maps_BHWD,
                              const DensePass* training) const = 0;
  /// Whether a picture's scores depend on no other of its batch, also in training.
  virtual bool is_of_one_picture() const { return true; }
};

/// What heads are made of.
struct DenseShape {
  int64_t num_maps = 1, width = 0;  ///< of the patches' maps
  int64_t outputs = 0;              ///< a place: classes
  int64_t patch = 1;                ///< side in pixels
};

/// The head that a config names.
///
/// throws  UsageError as DenseHeadConfig::check
std::unique_ptr<DenseHead> make_dense_head(const DenseHeadConfig& config, const DenseShape& shape);

/// The heads, each in the file of its name.
std::unique_ptr<DenseHead> make_linear_head(const DenseHeadConfig& config, const DenseShape& shape);
std::unique_ptr<DenseHead> make_bn_linear_head(const DenseHeadConfig& config,
                                               const DenseShape& shape);
std::unique_ptr<DenseHead> make_dpt_head(const DenseHeadConfig& config, const DenseShape& shape);
std::unique_ptr<DenseHead> make_upernet(const DenseHeadConfig& config, const DenseShape& shape);

}  // namespace vit22b
