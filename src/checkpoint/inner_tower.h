#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_path.h"
#include "checkpoint/container/tensor_container.h"

namespace vit22b {

/// An image tower among the tensors of a larger model, such as one that answers questions about
/// pictures.
struct InnerTower {
  std::string name;  ///< that tells it from its fellows: "vision" where it has none
  /// What its tensors' names begin with, in files of one age or another; taken off.
  std::vector<std::string> prefixes;
  std::string config;  ///< the text of the config.json that the tower alone would have
  /// Names that its files have changed, behind the prefix: "ls1.scale_factor" for "ls1.gamma".
  std::vector<std::pair<std::string, std::string>> renamed = {};
  bool is_of_head =
      false;  ///< the rest of the model is a head that is read too, so that all counts
};

/// The towers that the model of a config.json has among others; none for what is a tower itself.
///
/// place   the config, for messages
/// throws  CheckpointError naming a model whose tower computes what none of ours does
std::vector<InnerTower> inner_towers(const nlohmann::ordered_json& config,
                                     const std::string& place);

/// The tower that is meant.
///
/// wanted  its name; "" where there is one
/// throws  CheckpointError naming those that there are
std::optional<InnerTower> inner_tower(const nlohmann::ordered_json& config,
                                      const std::string& place, const std::string& wanted);
/// The same of a checkpoint's config.json, if it has one.
std::optional<InnerTower> inner_tower(const CheckpointPath& checkpoint);

/// The same of files without one, by what their tensors' names begin with: a model of DPT's or
/// Depth Anything's.
std::optional<InnerTower> inner_tower(const std::vector<std::string>& names);

/// The prefix of these names that is the tower's.
///
/// throws  CheckpointError where none has one of them
std::string tower_prefix(const InnerTower& tower, const std::vector<std::string>& names,
                         const std::string& place);

/// The tower's tensors alone, under the names that it has alone.
TensorContainer tensors_of(const InnerTower& tower, TensorContainer all);

}  // namespace vit22b
