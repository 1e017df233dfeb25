#pragma once
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/model_info.h"
#include "model/parameter_table.h"

namespace vit22b {

/// What may differ between a model and the checkpoint that it starts from, as name patterns.
struct InitChoice {
  std::vector<std::string> skip;   ///< parameters that keep their fresh values
  std::vector<std::string> allow;  ///< fields of the model, such as act_layer, or parameters
};

/// The first values of a model that starts from another one's weights. A head of other classes and
/// the skipped names keep their fresh values; the position table moves to the new grid; the patch
/// kernel is made for other patch sizes and channels by timm's rules.
class InitWeights {
 public:
  /// model   the config, and the names of the classes where they are known
  /// throws  CheckpointError where the checkpoint computes another function (heads, norms, scales,
  ///         activation, depth, pooling ...) and no pattern names the difference, or where the
  ///         files are not what they say
  InitWeights(const CheckpointPath& checkpoint, const ModelInfo& model, const InitChoice& choice);
  ~InitWeights();
  InitWeights(InitWeights&&) noexcept;

  /// What a person should know, a sentence each.
  std::vector<std::string> notes() const;
  /// Whether a parameter's value is the checkpoint's as it is.
  bool takes(const ParameterRow& row) const;
  /// Overwrites it: as TensorReader::read, of a parameter that is taken so.
  void read(const ParameterRow& row, at::Tensor& target) const;
  void release(const ParameterRow& row) const;
  /// One parameter's, read now: of a model larger than the memory none is kept.
  ///
  /// fresh  what it keeps where the checkpoint has nothing for it
  at::Tensor value(const ParameterRow& row, const at::Tensor& fresh) const;

 private:
  class Start;
  std::unique_ptr<Start> start_;
};

}  // namespace vit22b
