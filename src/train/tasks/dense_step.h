#pragma once
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/dense/dense_head.h"
#include "model/dense/patch_maps.h"
#include "optim/rules.h"
#include "train/task.h"

namespace vit22b {

/// What tasks of every pixel have alike: a head over maps of a tower's patches, forward and back.
class DenseStep {
 public:
  DenseStep(const ViTConfig& model, const DenseHeadConfig& head, int64_t outputs);

  const PatchMaps& maps() const { return maps_; }
  /// The loss that `send_back` gives of the head's scores, and the gradients of what trains.
  ///
  /// cached_maps  of the batch, in place of the tower's outputs; empty where the tower runs
  /// send_back    returns the loss, and has run its backward pass into the scores' leaves
  TaskLoss loss(const TowerOutputs& outputs, const Batch& batch,
                std::vector<at::Tensor> cached_maps, const Mesh& mesh,
                const std::function<at::Tensor(const DenseScores&)>& send_back) const;

 private:
  bool is_statistic(const std::string& name) const { return statistics_.count(name) != 0; }

  PatchMaps maps_;
  std::unique_ptr<DenseHead> head_;
  std::set<std::string> statistics_;  ///< local names of rows that have no gradient of the loss
};

/// The whole picture in the model's size, whatever its shape, as a transform: what is put back has
/// no edge.
///
/// known  a transform that says the range of pixels
std::string whole_view(const ViTConfig& model, const std::string& known);

/// What has no part in a head's maps does not train; of the rest what `unlock` says, or where it is
/// empty what tune, lora and freeze have said already, or nothing.
///
/// option  whose text `unlock` is
void adjust_dense_rules(const DenseHeadConfig& head, const std::string& unlock,
                        const std::string& option, const std::vector<ParameterRow>& table,
                        std::vector<ParameterRule>& rules);

}  // namespace vit22b
