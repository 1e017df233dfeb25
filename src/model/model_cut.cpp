#include "model/model_cut.h"

#include <algorithm>

#include "core/error.h"

namespace vit22b {

std::string divisors_text(int64_t number) {
  std::vector<std::string> all;
  for (int64_t i = 1; i <= std::min<int64_t>(number, 1024); ++i)
    if (number % i == 0) all.push_back(std::to_string(i));
  return join(all, ", ");
}

namespace {

void check_heads(int64_t heads, const char* whose, int64_t ranks) {
  if (heads % ranks != 0)
    throw UsageError("mesh.model=", ranks, " does not divide the ", whose, " ", heads,
                     " heads; use one of ", divisors_text(heads));
}

}  // namespace

void check_block_cut(const ViTConfig& c, const Mesh& mesh) {
  const int64_t ranks = mesh.size(MeshAxis::kModel);
  check_heads(c.num_heads, "model's", ranks);
  if (ranks > 1 && c.plex.has_members())
    throw UsageError("mesh.model=", ranks,
                     ": model.batch_ensemble_blocks is of models that no model axis cuts; use "
                     "mesh.model=1");
  if (c.mlp_dim() < ranks)
    throw UsageError("mesh.model=", ranks, " is more than the MLP's ", c.mlp_dim(),
                     " hidden units; use fewer ranks, or a larger model.mlp_ratio");
}

void check_cut(const ViTConfig& c, const Mesh& mesh) {
  const int64_t ranks = mesh.size(MeshAxis::kModel);
  check_block_cut(c, mesh);
  if (ranks > 1 && c.plex.is_heteroscedastic())
    throw UsageError("mesh.model=", ranks,
                     ": model.head=heteroscedastic is of heads that no model axis cuts; use "
                     "mesh.model=1");
  if (c.pool.global_pool == "map") check_heads(c.pool_heads(), "MAP head's", ranks);
  if (c.has_head() && c.head_outputs() < ranks)
    throw UsageError("mesh.model=", ranks, " is more than the model's ", c.num_classes,
                     " classes; use fewer ranks");
}

}  // namespace vit22b
