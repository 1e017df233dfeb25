#include "checkpoint/import/timm_map.h"

#include "checkpoint/adapters.h"
#include "checkpoint/import/importer.h"
#include "checkpoint/import/shapes.h"

namespace vit22b {
namespace {

/// timm's parallel blocks add two output biases, ours have one: the other's name, or "" for rows
/// that have none.
std::string twin_bias(const ParameterRow& row) {
  constexpr std::string_view kOurs = "mlp_out_proj", kOther = "attn_out_proj";
  if (row.local_name != "mlp_out_proj.bias") return "";
  std::string name = row.name;
  return name.replace(name.find(kOurs), kOurs.size(), kOther);
}

constexpr NameRule kRules[] = {
    {"blocks.#.gamma_1", "blocks.#.ls1.gamma"},
    {"blocks.#.gamma_2", "blocks.#.ls2.gamma"},
    {"blocks.#.attn.q_bias", "blocks.#.attn.qkv.bias", 0, 3},
    {"blocks.#.attn.v_bias", "blocks.#.attn.qkv.bias", 2, 3},
    {"blocks.#.attn.q_proj.", "blocks.#.attn.qkv.", 0, 3},
    {"blocks.#.attn.k_proj.", "blocks.#.attn.qkv.", 1, 3},
    {"blocks.#.attn.v_proj.", "blocks.#.attn.qkv.", 2, 3},
    {"blocks.#.mlp.fc1_g.", "blocks.#.mlp.fc1.", 0, 2},
    {"blocks.#.mlp.fc1_x.", "blocks.#.mlp.fc1.", 1, 2},
    {"dist_token", "reg_token"},
    {"head_dist.", ""},
    {"visual.head.proj.", "head."},  // of open_clip
};

constexpr std::string_view kPrefixes[] = {"timm_model."};  // of transformers' TimmWrapper

}  // namespace

RenamedTensors renamed_timm(const TensorContainer& weights, int64_t num_heads,
                            const TowerNames& tower) {
  RenamedTensors tensors(weights, kPrefixes, kRules, tower);
  tensors.repeat_heads(num_heads);
  tensors.make("patch_embed.proj.bias", made_zeros);  // where a norm follows, patches have none
  tensors.make("blocks.#.ls2.gamma", made_ones);      // where attention alone is scaled
  leave_distilled_heads(weights, tensors);
  return tensors;
}

void leave_distilled_heads(const TensorContainer& weights, RenamedTensors& tensors) {
  if (!weights.contains("head_dist.weight")) return;
  for (const char* name : {"head.weight", "head.bias"}) tensors.leave(name);
}

TensorMap map_own(const ImportFiles& files, const std::vector<ParameterRow>& table,
                  const TensorContainer& weights) {
  if (const auto base = find_base(files.checkpoint))
    return map_beside_base(files.checkpoint, *base, describe_own(files).config.adapters, table,
                           weights);
  TensorMap map;
  for (const ParameterRow& row : table) map.parameters[row.name].pieces = {whole_tensor(row)};
  add_twins(table, weights, map);
  return map;
}

void add_twins(const std::vector<ParameterRow>& table, const TensorContainer& weights,
               TensorMap& map) {
  for (const ParameterRow& row : table)
    if (const std::string twin = twin_bias(row); !twin.empty() && weights.contains(twin))
      map.parameters[row.name].added = {{twin, row.shape}};
}

std::vector<TimmTensor> timm_tensors(const std::vector<ParameterRow>& table) {
  std::vector<TimmTensor> tensors;
  for (const ParameterRow& row : table) {
    if (const std::string twin = twin_bias(row); !twin.empty())
      tensors.push_back({twin, &row, true});
    tensors.push_back({row.name, &row});
  }
  return tensors;
}

}  // namespace vit22b
