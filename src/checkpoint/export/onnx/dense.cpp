#include "checkpoint/export/onnx/dense.h"

#include "core/error.h"
#include "model/dense/batch_norm.h"
#include "model/dense/patch_maps.h"

namespace vit22b {
namespace {

constexpr std::string_view kAuxiliary = "aux.";

OnnxValue ones(const OnnxOps& ops, int64_t width) {
  return ops.graph().shared({concat("ones/", width), {width}, OnnxType::kFloat, [width] {
                               return at::ones({width}, at::kFloat);
                             }});
}

/// A block's patches as a map [B, D, h, w].
OnnxValue map_of(const OnnxOps& ops, bool is_normed, bool is_last, const ViTConfig& c,
                 const OnnxOutputs& outputs, int64_t block) {
  const OnnxValue& tokens = is_last ? outputs.tokens_BTD : outputs.blocks.at(block);
  const int64_t prefix = c.num_prefix_tokens();
  OnnxValue patches = prefix == 0 ? tokens : ops.slice(tokens, 1, prefix);
  if (is_normed && !is_last && c.norm.final_norm)
    patches = onnx_norm(ops, norm_form(c), patches, ones(ops, c.embed_dim), {});
  const OnnxValue shape =
      ops.concat({ops.numbers({0, 0}), outputs.grid.height, outputs.grid.width}, 0);
  return ops.of("Reshape", ops.transpose(patches, {0, 2, 1}), shape);
}

}  // namespace

std::vector<ParameterRow> onnx_dense_rows(const SegmentationInfo& info, const ViTConfig& config) {
  std::vector<ParameterRow> rows = segmentation_rows(info, config);
  std::erase_if(rows, [](const auto& row) { return row.local_name.starts_with(kAuxiliary); });
  return rows;
}

OnnxValue onnx_conv(const OnnxLayers& l, const std::string& name, const OnnxValue& x_BCHW) {
  std::vector<int64_t> shape = l.row(name + ".weight").shape;
  shape.resize(4, 1);
  std::vector<OnnxValue> inputs = {x_BCHW, l.shaped(name + ".weight", shape)};
  if (l.has(name + ".bias")) inputs.push_back(l.weight(name + ".bias"));
  const int64_t pad = shape.back() / 2;
  return l.ops().graph().add("Conv", inputs, {{"pads", std::vector<int64_t>(4, pad)}});
}

OnnxValue onnx_batch_norm(const OnnxLayers& l, const std::string& name, const OnnxValue& x_BCHW) {
  return l.ops().graph().add("BatchNormalization",
                             {x_BCHW, l.weight(name + ".weight"), l.weight(name + ".bias"),
                              l.weight(name + ".running_mean"), l.weight(name + ".running_var")},
                             {{"epsilon", kBatchNormEps}});
}

OnnxValue onnx_dense_scores(const OnnxOps& ops, OnnxWeights& weights, const DenseHeadConfig& head,
                            const ViTConfig& c, const OnnxOutputs& outputs) {
  ops.graph().enter("segmentation");
  const OnnxLayers layers(ops, weights, std::string(kTaskPrefix), norm_form(c));
  const PatchMaps patches(c, head);
  if (head.readout != "ignore")
    throw UsageError("--to onnx: head of every pixel with readout=", head.readout,
                     " is not written yet");
  std::vector<OnnxValue> maps;
  for (const int64_t block : patches.blocks())
    maps.push_back(map_of(ops, head.norm, patches.is_from_tokens(block), c, outputs, block));
  if (head.head == "upernet") return onnx_upernet(layers, maps);
  const bool has_norm = head.head == "bn_linear";
  if (!has_norm && head.head != "linear")
    throw UsageError("--to onnx: head of every pixel '", head.head, "' is not written yet");
  const OnnxValue all = ops.concat(maps, 1);
  return onnx_conv(layers, "head", has_norm ? onnx_batch_norm(layers, "bn", all) : all);
}

}  // namespace vit22b
