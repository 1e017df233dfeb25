#include "model/dense/patch_maps.h"

#include <algorithm>

#include "core/error.h"
#include "dist/ring_linear.h"
#include "kernels/norm.h"

namespace vit22b {

PatchMaps::PatchMaps(const ViTConfig& model, const DenseHeadConfig& head)
    : model_(model),
      is_normed_(head.norm),
      readout_(head.readout),
      map_width_(head.map_width(model.embed_dim)),
      blocks_(head.blocks(model.depth)) {
  if (model.reads_words()) throw UsageError("a text tower has no patches to map");
  if (readout_ != "ignore" && !model.tokens.class_token)
    throw UsageError("readout=", readout_, ": the model has no class token; readout=ignore");
  if (model.plex.has_members())
    throw UsageError("a head of every patch is of one model; this one has ", model.plex.members(),
                     " members (batch_ensemble_blocks)");
}

bool PatchMaps::is_from_tokens(int64_t block) const {
  const bool is_last = block == model_.depth - 1;
  return is_last && (is_normed_ || !model_.has_final_norm());
}

std::set<int64_t> PatchMaps::taps() const {
  std::set<int64_t> taps;
  for (const int64_t block : blocks_)
    if (!is_from_tokens(block)) taps.insert(block);
  return taps;
}

const at::Tensor& PatchMaps::source(const VitOutputs& outputs, int64_t block) const {
  return is_from_tokens(block) ? outputs.tokens_BTD : outputs.blocks.at(block);
}

at::Tensor PatchMaps::normed(const at::Tensor& tokens_BTD, int64_t block) const {
  const at::Tensor x = tokens_BTD.to(at::kFloat);
  if (!is_normed_ || is_from_tokens(block) || !model_.norm.final_norm) return x;
  const at::Tensor ones = at::ones({model_.embed_dim}, x.options());
  return model_.norm.norm_layer == "rmsnorm"
             ? rms_norm(x, ones, model_.norm.norm_eps)
             : at::layer_norm(x, {model_.embed_dim}, {}, {}, model_.norm.norm_eps);
}

at::Tensor PatchMaps::map_of(const at::Tensor& whole_BTD, int64_t block, int64_t height,
                             int64_t width) const {
  const int64_t rows = height / model_.patch_size, columns = width / model_.patch_size;
  at::Tensor patches =
      normed(whole_BTD.slice(1, model_.num_prefix_tokens()), block).unflatten(1, {rows, columns});
  if (readout_ == "ignore") return patches;
  // The class token is the first.
  const at::Tensor readout = normed(whole_BTD.slice(1, 0, 1), block).unsqueeze(1);
  return readout_ == "add" ? patches + readout : at::cat({patches, readout.expand_as(patches)}, 3);
}

std::vector<at::Tensor> PatchMaps::of(const VitOutputs& outputs, int64_t height, int64_t width,
                                      const Mesh& mesh) const {
  std::vector<at::Tensor> maps;
  maps.reserve(blocks_.size());
  for (const int64_t block : blocks_)
    maps.push_back(map_of(gather_columns(mesh, source(outputs, block), model_.embed_dim), block,
                          height, width));
  return maps;
}

VitOutputGrads PatchMaps::gradients(const VitOutputs& outputs, int64_t height, int64_t width,
                                    const std::vector<at::Tensor>& map_gradients,
                                    const Mesh& mesh) const {
  VitOutputGrads gradients;
  const Share columns = mesh.share(MeshAxis::kModel, model_.embed_dim);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (!map_gradients[i].defined()) continue;
    const at::AutoGradMode is_recording(true);
    const at::Tensor& output = source(outputs, blocks_[i]);
    const at::Tensor whole =
        gather_columns(mesh, output, model_.embed_dim).detach().requires_grad_();
    const at::Tensor map = map_of(whole, blocks_[i], height, width);
    map.backward(map_gradients[i]);
    const at::Tensor own = whole.grad()
                               .slice(2, columns.first, columns.first + columns.count)
                               .to(output.scalar_type());
    at::Tensor& sum =
        is_from_tokens(blocks_[i]) ? gradients.tokens_BTD : gradients.blocks[blocks_[i]];
    sum = sum.defined() ? sum + own : own;
  }
  return gradients;
}

}  // namespace vit22b
