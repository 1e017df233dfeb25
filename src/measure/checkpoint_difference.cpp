#include "measure/checkpoint_difference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/error.h"
#include "measure/compared_checkpoint.h"

namespace vit22b {
namespace {

/// Both checkpoints, by names that they have in common.
struct Pair {
  ComparedCheckpoint first, second;
  std::string reason;  ///< why they are read as tensors alone
};

Pair open_pair(const CheckpointPath& first, const CheckpointPath& second) {
  try {
    return {parameters_of_checkpoint(first), parameters_of_checkpoint(second), ""};
  } catch (const UserError& e) {
    return {tensors_of_files(first), tensors_of_files(second), e.what()};
  }
}

/// What a model computes, and its sizes, in the order of its fields.
std::vector<FunctionField> compared_fields(const ModelInfo& info) {
  static const std::set<std::string> kSizes = {"patch_size",     "in_chans",   "embed_dim", "depth",
                                               "context_length", "vocab_size", "joint_dim"};
  std::vector<FunctionField> fields;
  ViTConfig config = info.config;
  for (const FieldText& field : list_fields([&](FieldVisitor& v) { config.fields(v); }))
    if (kSizes.count(field.key) != 0) fields.push_back({field.key, field.value, ""});
  for (const FunctionField& field : function_of(info)) fields.push_back(field);
  return fields;
}

std::vector<CheckpointDifference::Field> field_differences(const ModelInfo& first,
                                                           const ModelInfo& second) {
  constexpr const char* kAbsent = "-";
  std::vector<std::string> order;
  std::map<std::string, CheckpointDifference::Field> fields;
  const auto take = [&](const ModelInfo& info, std::string CheckpointDifference::Field::*side) {
    for (const FunctionField& field : compared_fields(info)) {
      const auto [it, is_new] = fields.try_emplace(
          field.field, CheckpointDifference::Field{field.field, kAbsent, kAbsent});
      if (is_new) order.push_back(field.field);
      it->second.*side = field.value;
    }
  };
  take(first, &CheckpointDifference::Field::first);
  take(second, &CheckpointDifference::Field::second);
  std::vector<CheckpointDifference::Field> differences;
  for (const std::string& name : order)
    if (const auto& field = fields.at(name); field.first != field.second)
      differences.push_back(field);
  return differences;
}

std::optional<CheckpointDifference::Label> label_difference(
    const std::vector<std::string>& first, const std::vector<std::string>& second) {
  if (first == second) return std::nullopt;
  const auto [a, b] = std::mismatch(first.begin(), first.end(), second.begin(), second.end());
  return CheckpointDifference::Label{std::ssize(first), std::ssize(second), a - first.begin(),
                                     a == first.end() ? "" : *a, b == second.end() ? "" : *b};
}

/// What is not finite, or has nothing to be large beside, comes first.
bool is_larger(const CheckpointDifference::Value& a, const CheckpointDifference::Value& b) {
  const auto rank = [](const CheckpointDifference::Value& value) {
    const metrics::TensorDifference& of = value.of;
    return std::pair(
        of.num_nan_first() + of.num_nan_second() + of.num_infinite() > 0,
        std::isnan(of.relative()) ? std::numeric_limits<double>::infinity() : of.relative());
  };
  return rank(a) > rank(b);
}

void compare_values(const Pair& pair, const Watch& watch, CheckpointDifference& found) {
  int64_t done = 0;
  const auto total = std::ssize(pair.first.tensors);
  for (const auto& [name, tensor] : pair.first.tensors) {
    if (watch.should_stop()) throw Stopped("stopped between tensors");
    watch.on_progress(++done, total);
    const auto other = pair.second.tensors.find(name);
    if (other == pair.second.tensors.end()) {
      found.only_first.push_back(name);
    } else if (other->second.shape != tensor.shape) {
      found.shapes.push_back({name, tensor.shape, other->second.shape});
    } else {
      metrics::TensorDifference difference;
      difference.add(tensor.read(), other->second.read());
      if (difference.is_equal())
        ++found.num_equal;
      else
        found.different.push_back({name, difference});
    }
  }
  for (const auto& [name, tensor] : pair.second.tensors)
    if (pair.first.tensors.count(name) == 0) found.only_second.push_back(name);
  std::stable_sort(found.different.begin(), found.different.end(), is_larger);
}

CheckpointDifference::Side side_of(const ComparedCheckpoint& checkpoint) {
  return {checkpoint.info ? checkpoint.info->family : "", checkpoint.dtypes};
}

}  // namespace

bool CheckpointDifference::is_equal() const {
  return only_first.empty() && only_second.empty() && shapes.empty() && different.empty() &&
         function.empty() && !labels;
}

CheckpointDifference compare_checkpoints(const CheckpointPath& first, const CheckpointPath& second,
                                         const Watch& watch) {
  const Pair pair = open_pair(first, second);
  CheckpointDifference found;
  found.first = side_of(pair.first);
  found.second = side_of(pair.second);
  found.reason = pair.reason;
  if (pair.first.info && pair.second.info) {
    found.function = field_differences(*pair.first.info, *pair.second.info);
    found.labels = label_difference(pair.first.info->label_names, pair.second.info->label_names);
  }
  compare_values(pair, watch, found);
  return found;
}

}  // namespace vit22b
