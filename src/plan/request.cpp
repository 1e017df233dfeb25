#include "plan/request.h"

#include <map>

#include "checkpoint/model_info.h"
#include "checkpoint/weights.h"
#include "core/error.h"
#include "dist/outline.h"
#include "train/head_recipe.h"

namespace vit22b {
namespace {

// The words of a plan that are not a config's.
struct PlanWords {
  std::string mode, device = kThisDevice, store, mfu;

  bool take(const std::string& key, const std::string& value) {
    const std::map<std::string, std::string*> own = {
        {"mode", &mode}, {"device", &device}, {"store", &store}, {"mfu", &mfu}};
    const auto it = own.find(key);
    if (it == own.end()) return false;
    *it->second = value;
    return true;
  }
};

double parse_mfu(const std::string& text) {
  if (text.empty()) return 0;
  const auto number = leading_number(text);
  if (!number || !number->second.empty() || !(number->first > 0 && number->first <= 1))
    throw UsageError("mfu=", text, ": want a share of the peak, such as 0.549");
  return number->first;
}

int64_t tensor_bytes(const CheckpointPath& checkpoint) {
  const TensorContainer weights = open_weights(checkpoint);
  int64_t bytes = 0;
  for (const auto& [name, tensor] : weights.tensors())
    bytes += static_cast<int64_t>(tensor.size_bytes());
  return bytes;
}

// The keys of a checkpoint's model, from which training starts.
void take_checkpoint(const std::string& place, ConfigTree& tree) {
  ViTConfig config = read_model_info(resolve_checkpoint(place)).config;
  for (const FieldText& field : list_fields([&](FieldVisitor& v) { config.fields(v); }))
    set_override(tree, concat("model.", field.key, "=", field.value));
  set_override(tree, "init_from=" + place);
}

// What the task's command would set for such a checkpoint, and nobody has set: all but how long.
void take_recipe(ConfigTree& tree) {
  const auto found = tree.find("task");
  const auto* task = found == tree.end() ? nullptr : std::get_if<std::string>(&found->second.value);
  if (task == nullptr) return;
  for (const std::string_view assignment : head_recipe(*task)) {
    const std::string key(assignment.substr(0, assignment.find('=')));
    const bool is_of_step = key.find('.') != std::string::npos && key != "data.batch_size";
    if (is_of_step && tree.count(key) == 0) set_override(tree, std::string(assignment));
  }
}

void check_request(const PlanRequest& request) {
  if (request.config.engine != "fused")
    throw UsageError("plan knows the memory of the fused engine; use engine=fused");
  if (request.config.model.plex.has_members())
    throw UsageError("plan does not know the memory of ensembles; model.batch_ensemble_blocks=0");
  const MeshConfig& mesh = request.config.mesh;
  if (request.is_training) {
    if (request.config.state == "file" && !request.is_here())
      throw UsageError("state=file runs on the CPU; use device=this, or state=memory");
    check_mesh(request.config, make_outline_mesh({mesh.data, mesh.model}));
  } else {
    if (request.num_ranks() > 1)
      throw UsageError("mode=infer is of one process; leave out mesh.data and mesh.model");
    if (request.store != "resident" && request.store != "streamed" && request.store != "generated")
      throw UsageError("store=", request.store,
                       ": with mode=infer weights are resident, streamed or generated");
  }
}

}  // namespace

PlanRequest read_plan_request(const std::string& name, const std::vector<std::string>& words) {
  const bool is_file = name.ends_with(".toml");
  const bool is_checkpoint = !is_file && may_be_checkpoint(name);
  PlanRequest request;
  ConfigTree tree;
  if (is_file)
    tree = read_config_file(name);
  else if (is_checkpoint)
    take_checkpoint(name, tree);
  else
    set_override(tree, "model.name=" + name);
  PlanWords own;
  own.mode = is_file ? "train" : "infer";
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    if (equals == std::string::npos)
      throw UsageError("'", word, "' is not an override; write key=value, such as batch=32");
    if (own.take(key, word.substr(equals + 1))) continue;
    set_override(tree, key == "batch" ? "data.batch_size" + word.substr(equals) : word);
  }
  if (own.mode != "train" && own.mode != "infer")
    throw UsageError("mode=", own.mode, ": want train or infer");
  request.is_training = own.mode == "train";
  request.device = own.device;
  request.mfu = parse_mfu(own.mfu);
  if (request.is_training && !own.store.empty()) set_override(tree, "store=" + own.store);
  if (!request.is_training && !own.store.empty()) request.store = own.store;
  // What a config must say and a plan does not depend on.
  if (tree.count("data.root") == 0) set_override(tree, "data.root=-");
  if (!is_file) {
    if (is_checkpoint && request.is_training) take_recipe(tree);
    set_override(tree, "total_steps=1");
    if (tree.count("data.batch_size") == 0) set_override(tree, "data.batch_size=1");
  }
  request.config = train_config_from_tree(tree);
  if (request.config.mesh.data == 0) request.config.mesh.data = 1;
  if (request.is_training) request.others = other_models(request.config);
  if (!request.config.init_from.empty())
    request.checkpoint_bytes = tensor_bytes(resolve_checkpoint(request.config.init_from));
  check_request(request);
  return request;
}

}  // namespace vit22b
