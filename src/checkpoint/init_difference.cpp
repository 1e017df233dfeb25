#include "checkpoint/init_difference.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"

namespace vit22b {
namespace {

// What a start from other weights answers by itself, or what is of no forward pass.
const std::set<std::string> kFree = {"name",          "img_size",           "patch_size",
                                     "in_chans",      "num_classes",        "head_bias_init",
                                     "posemb_resize", "batch_ensemble_sign"};

/// A field that differs, as text.
struct Difference {
  std::string field, in_checkpoint, in_model;
};

std::vector<FieldText> fields_of(ViTConfig config) {
  return list_fields([&](FieldVisitor& v) { config.fields(v); });
}

bool is_average(const PlexConfig& plex) {
  return plex.is_heteroscedastic() || plex.has_members();
}

bool is_same_function(const std::string& field, const ViTConfig& a, const ViTConfig& b) {
  if (field == "init_values") return (a.init_values > 0) == (b.init_values > 0);
  if (field == "joint_dim") return !b.reads_words() && b.text.joint_dim == 0;  // the head is new
  if (field == "mlp_ratio" || field == "mlp_hidden")
    return a.embed_dim != b.embed_dim || a.mlp_dim() == b.mlp_dim();
  if (field == "head_link") return !is_average(a.plex) || !is_average(b.plex);
  if (field.starts_with("head_"))  // of a head that not both have
    return !a.plex.is_heteroscedastic() || !b.plex.is_heteroscedastic();
  if (field == "batch_ensemble_size") return !a.plex.has_members() || !b.plex.has_members();
  if (field == "no_embed_class" || field == "pool_include_prefix")  // of what is not there
    return a.num_prefix_tokens() == 0 && b.num_prefix_tokens() == 0;
  return false;
}

std::vector<Difference> differences(const ViTConfig& checkpoint, const ViTConfig& model) {
  std::vector<Difference> found;
  const std::vector<FieldText> theirs = fields_of(checkpoint), ours = fields_of(model);
  for (size_t i = 0; i < ours.size(); ++i)
    if (theirs[i].value != ours[i].value && kFree.count(ours[i].key) == 0 &&
        !is_same_function(ours[i].key, checkpoint, model))
      found.push_back({ours[i].key, theirs[i].value, ours[i].value});
  return found;
}

std::map<std::string, std::vector<int64_t>> shapes_of(const ViTConfig& config) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const ParameterRow& row : parameter_table(config)) shapes[row.name] = row.shape;
  return shapes;
}

/// The parameters that are other ones, or of another shape, because of one field.
std::vector<std::string> parameters_of(const Difference& difference, const ViTConfig& checkpoint) {
  ConfigTree tree;
  set_override(tree, difference.field + "=" + difference.in_model);
  ViTConfig changed = checkpoint;
  std::vector<std::string> names;
  try {
    apply_config(tree, [&](FieldVisitor& v) { changed.fields(v); });
    const auto before = shapes_of(checkpoint), after = shapes_of(changed);
    for (const auto& [name, shape] : before)
      if (const auto it = after.find(name); it == after.end() || it->second != shape)
        names.push_back(name);
    for (const auto& [name, shape] : after)
      if (before.count(name) == 0) names.push_back(name);
  } catch (const UsageError&) {
    // Alone it is no model: no parameters that would name it.
  }
  return names;
}

bool is_named(const Difference& difference, const ViTConfig& checkpoint, const InitChoice& choice) {
  if (matches_any(difference.field, choice.allow)) return true;
  const std::vector<std::string> names = parameters_of(difference, checkpoint);
  return !names.empty() && std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return matches_any(name, choice.skip) || matches_any(name, choice.allow);
  });
}

}  // namespace

bool matches_any(const std::string& name, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return matches_pattern(name, pattern); });
}

std::string grouped_names(const std::vector<std::string>& names) {
  std::vector<std::string> groups;
  for (const std::string& name : names) {
    std::vector<std::string> parts = split(name, '.');
    if (parts.size() > 2 && parts[0] == "blocks") parts[1] = "*";
    const std::string group = join(parts, ".");
    if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
  }
  return concat(join(groups, ", "), " (", names.size(),
                names.size() == 1 ? " tensor)" : " tensors)");
}

std::vector<std::string> different_functions(const ViTConfig& checkpoint, const ViTConfig& model) {
  std::vector<std::string> texts;
  for (const Difference& d : differences(checkpoint, model))
    texts.push_back(concat(d.field, " is ", d.in_checkpoint, ", here ", d.in_model));
  return texts;
}

void check_init_difference(const ViTConfig& checkpoint, const ViTConfig& model,
                           const InitChoice& choice, const std::string& place) {
  std::vector<std::string> texts, fields;
  for (const Difference& d : differences(checkpoint, model)) {
    if (is_named(d, checkpoint, choice)) continue;
    std::string text = concat(d.field, " is ", d.in_checkpoint, ", here ", d.in_model);
    if (const auto names = parameters_of(d, checkpoint); !names.empty() && names.size() < 200)
      text += concat(": ", grouped_names(names));
    texts.push_back(text);
    fields.push_back(d.field);
  }
  if (texts.empty()) return;
  throw CheckpointError(place,
                        " computes another function than the model that would start from it:\n  ",
                        join(texts, "\n  "),
                        "\nleave the model's keys away to have the checkpoint's (model.name too)",
                        ", or name what may differ: init_allow=", join(fields, ","));
}

}  // namespace vit22b
