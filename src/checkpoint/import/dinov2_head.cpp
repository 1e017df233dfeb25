#include "checkpoint/import/dinov2_head.h"

#include "checkpoint/container/containers.h"
#include "core/error.h"
#include "data/class_names.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

constexpr double kBatchNormEps = 1e-5;

/// A tensor as float32 in a shape that has as many values.
at::Tensor shaped(const TensorContainer& file, const std::string& name,
                  const std::vector<int64_t>& shape) {
  const at::Tensor value = file.load(name).to(at::kFloat);
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  if (value.numel() != count)
    throw CheckpointError(file.place().string(), ": '", name, "' has shape ",
                          shape_text(value.sizes()), ", want ", shape_text(shape));
  return value.reshape(shape);
}

std::string last_blocks(int64_t count, int64_t depth) {
  std::vector<std::string> blocks;
  for (int64_t i = depth - count; i < depth; ++i) blocks.push_back(std::to_string(i));
  return join(blocks, ",");
}

// Of x = g n + b, with n the norm without scale that blocks below the last pass here:
// (x - mean) / deviation * w + c = n / deviation * (w g) + c + w (b - mean) / deviation.
void take_norm_in(const NamedTensors& final_norm, int64_t blocks, NamedTensors& weights) {
  if (blocks == 1 || final_norm.count("norm.weight") == 0) return;
  const int64_t width = final_norm.at("norm.weight").numel(), below = (blocks - 1) * width;
  const auto own = [&](const char* name) { return weights.at(name).slice(0, 0, below); };
  const at::Tensor scale = final_norm.at("norm.weight").to(at::kFloat).repeat({blocks - 1});
  const auto bias = final_norm.find("norm.bias");
  const at::Tensor shift = bias == final_norm.end()
                               ? at::zeros({below})
                               : bias->second.to(at::kFloat).repeat({blocks - 1});
  const at::Tensor deviation = (own("bn.running_var") + kBatchNormEps).sqrt();
  own("bn.bias").add_(own("bn.weight") * (shift - own("bn.running_mean")) / deviation);
  own("bn.weight").mul_(scale);
  own("bn.running_mean").zero_();
}

}  // namespace

ImportedHead read_dinov2_head(const std::filesystem::path& path, const ViTConfig& model,
                              const NamedTensors& final_norm, std::vector<std::string> names) {
  const TensorContainer file = open_container(path);
  const std::string prefix = file.contains("decode_head.conv_seg.weight") ? "decode_head." : "";
  const std::vector<int64_t> shape = file.tensor(prefix + "conv_seg.weight").shape;
  const int64_t classes = shape.empty() ? 0 : shape[0], width = shape.size() < 2 ? 0 : shape[1];
  const int64_t blocks = width / model.embed_dim;
  if (classes < 1 || blocks < 1 || blocks > model.depth || width % model.embed_dim != 0)
    throw CheckpointError(path.string(), ": '", prefix, "conv_seg.weight' has shape ",
                          shape_text(shape), ", want [classes, ", model.embed_dim,
                          " times the number of blocks, 1, 1] for this model");
  ImportedHead head;
  head.info.head.head = "bn_linear";
  head.info.head.layers = last_blocks(blocks, model.depth);
  head.info.names = names.empty() ? numbered_names(classes) : std::move(names);
  if (head.info.num_classes() != classes)
    throw UsageError(path.string(), " has ", classes, " classes, there are ",
                     head.info.num_classes(), " names");
  head.weights["head.weight"] = shaped(file, prefix + "conv_seg.weight", {classes, width});
  head.weights["head.bias"] = shaped(file, prefix + "conv_seg.bias", {classes});
  for (const char* name : {"weight", "bias", "running_mean", "running_var"})
    head.weights[concat("bn.", name)] = shaped(file, concat(prefix, "bn.", name), {width}).clone();
  take_norm_in(final_norm, blocks, head.weights);
  return head;
}

}  // namespace vit22b
