#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/flops.h"
#include "train/averaged_weights.h"
#include "train/state_setup.h"
#include "train/step.h"

namespace vit22b {

/// Everything that training changes (weights, gradients, optimizer state), and what computes with
/// it. Each rank has its parts.
class TrainedModel {
 public:
  /// What it is made of.
  struct Parts {
    const TrainConfig& config;  ///< outlives it, as the mesh does
    c10::Device device;
    const Mesh& mesh;
    std::unique_ptr<StateMemory> memory;
    std::optional<ImageTower> image;  ///< that trains too
    std::filesystem::path folder;     ///< for block inputs in a nameless file
  };

  /// source  of the weights; kept where the store reads them anew
  TrainedModel(Parts parts, std::unique_ptr<WeightSource> source);
  TrainedModel(const TrainedModel&) = delete;
  TrainedModel& operator=(const TrainedModel&) = delete;

  /// Every parameter of every tower that trains.
  const std::vector<ParameterRow>& table() const { return table_; }
  const std::optional<ImageTower>& image_tower() const { return parts_.image; }
  const Engine& engine() const { return *engine_; }
  const std::shared_ptr<MasterStore>& store() const { return store_; }
  UpdatingSink& optimizer_state() const { return *sinks_.updating; }
  /// What a step works on.
  TrainedTowers towers() const;
  /// For as long as the value lives, the averages stand where the weights were.
  AveragedWeights averages(int64_t updates) const;
  /// A copy of the task's own weights, whole, by local name. Every rank calls it.
  NamedTensors own_weights() const;
  /// Names of the weights that the run has itself: all, or what its checkpoints have beside a base.
  const std::set<std::string>& own() const { return own_; }
  /// This rank's parts of all weights that the run has itself, sharing storage.
  NamedParts weights() const;
  /// A part is not used for now.
  void release(const at::Tensor& part) { parts_.memory->release(part); }
  /// Operations of a sample's step.
  double flops_of_sample() const;

 private:
  ModelContext context(const ViTConfig& config, BlockInputs* inputs) const;

  bool has_own_weights() const { return table_.back().unit.kind == UnitKind::kTask; }

  Parts parts_;  ///< its memory outlives the store and the sinks, which lie in it
  std::vector<ParameterRow> table_;
  std::set<std::string> own_;  ///< names of the weights that checkpoints have
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<BlockInputs> main_inputs_, image_inputs_;
  std::shared_ptr<MasterStore> store_;
  Sinks sinks_;
};

}  // namespace vit22b
