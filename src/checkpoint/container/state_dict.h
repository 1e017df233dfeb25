#pragma once
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/container/pickle.h"

namespace vit22b {

/// The tensors that a file holds the weights of a model in.
struct StateDict {
  std::vector<std::pair<std::string, const PickleObject*>> tensors;  ///< as is_torch_tensor
  std::string part = {};  ///< what of the file they are, for people; "" for all of it
};

/// Chooses a file's state dict. A dict is one when most of its values are tensors. The root is
/// taken where it is one; else the first that is one of what the root has as model_ema, state_dict,
/// model, module, target_encoder, encoder, teacher and weights, in this order. Never `student`, and
/// no state of an optimizer: what trains beside a model, or trains it, is not the model.
///
/// Names are those of the dict; what lies deeper is joined by ".", and lists by their indices.
/// Where all names begin with `module.`, `_orig_mod.` or `_fsdp_wrapped_module.`, that is taken
/// off.
///
/// place   for messages
/// throws  CheckpointError saying what the file holds instead
StateDict find_state_dict(const PickleObject& root, const std::string& place);

/// All tensors of a TorchScript module by the paths of their attributes.
///
/// throws  CheckpointError where there are none
StateDict module_tensors(const PickleObject& module, const std::string& place);

}  // namespace vit22b
