#include "checkpoint/container/state_dict.h"

#include <algorithm>

#include "checkpoint/container/torch_tensor.h"
#include "core/error.h"

namespace vit22b {
namespace {

constexpr std::string_view kWrappers[] = {"model_ema",      "state_dict", "model",   "module",
                                          "target_encoder", "encoder",    "teacher", "weights"};
// Of DistributedDataParallel, torch.compile and FullyShardedDataParallel.
constexpr std::string_view kPrefixes[] = {"module.", "_orig_mod.", "_fsdp_wrapped_module."};
constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxVisits = size_t{1} << 20;
constexpr size_t kNameLimit = 512;
constexpr size_t kMaxKeysShown = 8;

using Entries = std::vector<std::pair<const PickleObject*, const PickleObject*>>;

/// What a dict has: given to it one by one, or, as Python 2 wrote an OrderedDict, as a list of
/// pairs to make it of.
Entries entries_of(const PickleObject& object) {
  Entries entries;
  if (object.kind != PickleKind::kDict && object.kind != PickleKind::kCall) return entries;
  for (size_t i = 0; i + 1 < object.items.size(); i += 2)
    entries.emplace_back(object.items[i], object.items[i + 1]);
  if (object.callee() != "collections.OrderedDict" || object.arguments == nullptr ||
      object.arguments->items.size() != 1)
    return entries;
  for (const PickleObject* pair : object.arguments->items[0]->items) {
    if (pair->items.size() != 2) break;
    entries.emplace_back(pair->items[0], pair->items[1]);
  }
  return entries;
}

bool is_state_dict(const PickleObject& object) {
  const Entries entries = entries_of(object);
  const auto tensors = std::count_if(entries.begin(), entries.end(), [](const auto& entry) {
    return is_torch_tensor(*entry.second);
  });
  return 2 * static_cast<size_t>(tensors) > entries.size();
}

/// Goes through all that an object holds; hostile files hold things in themselves, or many times.
class TensorFinder {
 public:
  /// has_modules  whether what objects were set to is gone into too
  TensorFinder(StateDict& found, const std::string& place, bool has_modules)
      : found_(found), place_(place), has_modules_(has_modules) {}

  void visit(const PickleObject& object, const std::string& name, size_t depth) {
    if (depth > kMaxDepth) fail("is nested more than 64 deep");
    if (++visits_ > kMaxVisits) fail("has more than 2^20 parts");
    if (is_torch_tensor(object)) {
      found_.tensors.emplace_back(name, &object);
    } else if (object.kind == PickleKind::kTuple || object.kind == PickleKind::kList) {
      for (size_t i = 0; i < object.items.size(); ++i)
        visit(*object.items[i], joined(name, std::to_string(i)), depth + 1);
    } else {
      for (const auto& [key, value] : entries_of(object))
        visit(*value, joined(name, key_text(*key)), depth + 1);
      visit_module(object, name, depth);
    }
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw CheckpointError(place_, ": the state dict ", what);
  }

  void visit_module(const PickleObject& object, const std::string& name, size_t depth) {
    if (!has_modules_) return;
    if (object.state != nullptr) visit(*object.state, name, depth + 1);
    // A dict or list with its type.
    if (object.callee() == "torch.jit._pickle.restore_type_tag" && object.arguments != nullptr &&
        !object.arguments->items.empty())
      visit(*object.arguments->items[0], name, depth + 1);
  }

  std::string key_text(const PickleObject& key) const {
    if (key.kind == PickleKind::kInteger) return std::to_string(key.number);
    if (key.kind != PickleKind::kText) fail("has a key that is neither a text nor a number");
    return key.text;
  }
  std::string joined(const std::string& name, const std::string& part) const {
    if (name.size() + part.size() > kNameLimit) fail("has a name of more than 512 bytes");
    return name.empty() ? part : concat(name, ".", part);
  }

  StateDict& found_;
  const std::string& place_;
  bool has_modules_;
  size_t visits_ = 0;
};

/// Takes off what stands before every name.
void strip_prefixes(StateDict& dict) {
  std::vector<std::string> stripped;
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    for (const std::string_view prefix : kPrefixes) {
      const bool has_all =
          std::all_of(dict.tensors.begin(), dict.tensors.end(), [&](const auto& tensor) {
            return tensor.first.starts_with(prefix) && tensor.first.size() > prefix.size();
          });
      if (!has_all || dict.tensors.empty()) continue;
      for (auto& [name, tensor] : dict.tensors) name.erase(0, prefix.size());
      stripped.push_back(concat("'", prefix, "'"));
      has_changed = true;
    }
  }
  if (!stripped.empty())
    dict.part += concat(dict.part.empty() ? "" : ", ", "names without ", join(stripped, " and "));
}

/// What a file holds that has no state dict, in words.
std::string description(const PickleObject& root) {
  if (is_torch_tensor(root)) return "a single tensor";
  if (root.kind == PickleKind::kList || root.kind == PickleKind::kTuple) return "a list";
  if (root.kind == PickleKind::kCall && root.state != nullptr)
    return concat("an object of the class ", root.callee(), "; save its state_dict()");
  if (root.kind == PickleKind::kCall && root.items.empty())
    return concat("a ", root.callee(), " call (nothing was executed)");
  std::vector<std::string> keys;
  for (const auto& [key, value] : entries_of(root))
    if (key->kind == PickleKind::kText) keys.push_back(concat("'", key->text, "'"));
  if (keys.empty()) return "no tensors";
  const bool is_long = keys.size() > kMaxKeysShown;
  keys.resize(std::min(keys.size(), kMaxKeysShown));
  return concat(join(keys, ", "), is_long ? " and more" : "", ", none of them a dict of tensors ",
                "named ", join({std::begin(kWrappers), std::end(kWrappers)}, ", "));
}

/// The first state dict that has a wrapper's name; `part` says which, and which others there are.
const PickleObject* find_wrapped(const PickleObject& root, std::string& part) {
  const PickleObject* chosen = nullptr;
  std::vector<std::string> others;
  for (const std::string_view key : kWrappers) {
    const PickleObject* value = root.find(key);
    if (value == nullptr || !is_state_dict(*value)) continue;
    if (chosen == nullptr) {
      chosen = value;
      part = concat("its '", key, "'");
    } else {
      others.push_back(concat("'", key, "'"));
    }
  }
  if (!others.empty()) part += concat(" (not its ", join(others, ", "), ")");
  return chosen;
}

}  // namespace

StateDict find_state_dict(const PickleObject& root, const std::string& place) {
  StateDict dict;
  const PickleObject* chosen = is_state_dict(root) ? &root : find_wrapped(root, dict.part);
  if (chosen == nullptr)
    throw CheckpointError(place, " is no state dict: holds ", description(root));
  TensorFinder(dict, place, false).visit(*chosen, "", 0);
  strip_prefixes(dict);
  return dict;
}

StateDict module_tensors(const PickleObject& module, const std::string& place) {
  StateDict dict{{}, "its TorchScript module"};
  TensorFinder(dict, place, true).visit(module, "", 0);
  if (dict.tensors.empty())
    throw CheckpointError(place, " is a TorchScript module without tensors");
  strip_prefixes(dict);
  return dict;
}

}  // namespace vit22b
