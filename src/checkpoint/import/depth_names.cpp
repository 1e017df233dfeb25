#include "checkpoint/import/depth_names.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "checkpoint/import/name_pattern.h"
#include "core/error.h"
#include "core/text.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

using enum LevelNumber;

constexpr int64_t kNumLevels = 4;
constexpr double kFusionNormEps = 1e-5;  // PyTorch's

constexpr DepthName kTransformers[] = {
    {"readout.#.", "neck.reassemble_stage.readout_projects.#.0."},
    {"reassemble.#.", "neck.reassemble_stage.layers.#.projection."},
    {"resize.#.", "neck.reassemble_stage.layers.#.resize."},
    {"lateral.#.", "neck.convs.#."},
    {"fusion.#.unit1.conv1.", "neck.fusion_stage.layers.#.residual_layer1.convolution1.",
     kFromCoarsest},
    {"fusion.#.unit1.conv2.", "neck.fusion_stage.layers.#.residual_layer1.convolution2.",
     kFromCoarsest},
    {"fusion.#.unit2.conv1.", "neck.fusion_stage.layers.#.residual_layer2.convolution1.",
     kFromCoarsest},
    {"fusion.#.unit2.conv2.", "neck.fusion_stage.layers.#.residual_layer2.convolution2.",
     kFromCoarsest},
    {"fusion.#.out.", "neck.fusion_stage.layers.#.projection.", kFromCoarsest}};
constexpr DepthName kDptEnd[] = {{"projection.", "head.projection."},
                                 {"head.0.", "head.head.0."},
                                 {"head.1.", "head.head.2."},
                                 {"head.2.", "head.head.4."}};
constexpr DepthName kDepthAnythingEnd[] = {
    {"head.0.", "head.conv1."}, {"head.1.", "head.conv2."}, {"head.2.", "head.conv3."}};
constexpr std::string_view kTransformersAll[] = {"neck.", "head."};

constexpr DepthName kDepthAnything[] = {
    {"readout.#.", "depth_head.readout_projects.#.0."},
    {"reassemble.#.", "depth_head.projects.#."},
    {"resize.#.", "depth_head.resize_layers.#."},
    {"lateral.#.weight", "depth_head.scratch.layer#_rn.weight", kFromOne},
    {"fusion.#.unit1.conv1.", "depth_head.scratch.refinenet#.resConfUnit1.conv1.", kFromOne},
    {"fusion.#.unit1.conv2.", "depth_head.scratch.refinenet#.resConfUnit1.conv2.", kFromOne},
    {"fusion.#.unit2.conv1.", "depth_head.scratch.refinenet#.resConfUnit2.conv1.", kFromOne},
    {"fusion.#.unit2.conv2.", "depth_head.scratch.refinenet#.resConfUnit2.conv2.", kFromOne},
    {"fusion.#.out.", "depth_head.scratch.refinenet#.out_conv.", kFromOne}};
constexpr DepthName kDepthAnythingStateEnd[] = {{"head.0.", "depth_head.scratch.output_conv1."},
                                                {"head.1.", "depth_head.scratch.output_conv2.0."},
                                                {"head.2.", "depth_head.scratch.output_conv2.2."}};
constexpr std::string_view kDepthAnythingAll[] = {"depth_head."};

constexpr DepthName kDpt[] = {
    {"readout.#.", "pretrained.act_postprocess#.0.project.0.", kFromOne},
    {"reassemble.#.", "pretrained.act_postprocess#.3.", kFromOne},
    {"resize.#.", "pretrained.act_postprocess#.4.", kFromOne},
    {"lateral.#.weight", "scratch.layer#_rn.weight", kFromOne},
    {"fusion.#.unit1.conv1.", "scratch.refinenet#.resConfUnit1.conv1.", kFromOne},
    {"fusion.#.unit1.conv2.", "scratch.refinenet#.resConfUnit1.conv2.", kFromOne},
    {"fusion.#.unit2.conv1.", "scratch.refinenet#.resConfUnit2.conv1.", kFromOne},
    {"fusion.#.unit2.conv2.", "scratch.refinenet#.resConfUnit2.conv2.", kFromOne},
    {"fusion.#.out.", "scratch.refinenet#.out_conv.", kFromOne}};
constexpr DepthName kDptStateEnd[] = {{"head.0.", "scratch.output_conv.0."},
                                      {"head.1.", "scratch.output_conv.2."},
                                      {"head.2.", "scratch.output_conv.4."}};
constexpr std::string_view kDptAll[] = {"scratch.", "pretrained.act_postprocess"};

constexpr DepthName kDinov2[] = {
    {"readout.#.", "decode_head.reassemble_blocks.readout_projects.#.0."},
    {"reassemble.#.", "decode_head.reassemble_blocks.projects.#.conv."},
    {"resize.#.", "decode_head.reassemble_blocks.resize_layers.#."},
    {"lateral.#.", "decode_head.convs.#.conv."},
    {"fusion.#.unit1.conv1.", "decode_head.fusion_blocks.#.res_conv_unit1.conv1.conv.",
     kFromCoarsest},
    {"fusion.#.unit1.conv2.", "decode_head.fusion_blocks.#.res_conv_unit1.conv2.conv.",
     kFromCoarsest},
    {"fusion.#.unit2.conv1.", "decode_head.fusion_blocks.#.res_conv_unit2.conv1.conv.",
     kFromCoarsest},
    {"fusion.#.unit2.conv2.", "decode_head.fusion_blocks.#.res_conv_unit2.conv2.conv.",
     kFromCoarsest},
    {"fusion.#.out.", "decode_head.fusion_blocks.#.project.conv.", kFromCoarsest}};
constexpr DepthName kDinov2End[] = {{"projection.", "decode_head.project.conv."},
                                    {"head.0.", "decode_head.conv_depth.head.0."},
                                    {"head.1.", "decode_head.conv_depth.head.2."},
                                    {"head.2.", "decode_head.conv_depth.head.4."}};
constexpr std::string_view kDinov2All[] = {"decode_head."};

// The one list of libraries.
constexpr DepthNames kLibraries[] = {
    {"head.head.4.weight", kTransformers, kDptEnd, kTransformersAll},
    {"head.conv3.weight", kTransformers, kDepthAnythingEnd, kTransformersAll, true},
    {"depth_head.scratch.output_conv2.2.weight", kDepthAnything, kDepthAnythingStateEnd,
     kDepthAnythingAll, true},
    {"scratch.output_conv.4.weight", kDpt, kDptStateEnd, kDptAll},
    {"decode_head.conv_depth.head.4.weight", kDinov2, kDinov2End, kDinov2All}};

std::string numbered(std::string_view number, LevelNumber how) {
  const int64_t level = std::stoll(std::string(number));
  return std::to_string(how == kFromOne        ? level + 1
                        : how == kFromCoarsest ? kNumLevels - 1 - level
                                               : level);
}

/// What a tensor is called that makes a batch norm of the convolution's output: transformers'
/// "batch_norm1", the authors' "bn1".
std::string norm_of(const std::string& conv) {
  for (const auto& [from, to] :
       {std::pair<std::string_view, const char*>{"convolution", "batch_norm"}, {"conv", "bn"}})
    if (const size_t at = conv.rfind(from); at != std::string::npos)
      return concat(conv.substr(0, at), to, conv.substr(at + from.size()));
  return conv;
}

at::Tensor shaped(const TensorContainer& files, const std::string& name,
                  const std::vector<int64_t>& shape) {
  const at::Tensor value = files.load(name).to(at::kFloat);
  std::vector<int64_t> want = shape, got = value.sizes().vec();
  for (std::vector<int64_t>* sides : {&want, &got})  // a layer may be a convolution of one place
    while (sides->size() > 2 && sides->back() == 1) sides->pop_back();
  if (got != want)
    throw CheckpointError(files.place().string(), ": '", name, "' has shape ",
                          shape_text(value.sizes()), ", want ", shape_text(shape));
  return value.reshape(shape).contiguous();
}

// y = (conv(x) + b - mean) / deviation * g + c as one convolution.
void take_batch_norm_in(const TensorContainer& files, const std::string& norm,
                        std::set<std::string>& used, at::Tensor& weight, at::Tensor& bias) {
  const auto of = [&](const char* part) {
    used.insert(norm + part);
    return shaped(files, norm + part, {weight.size(0)});
  };
  const at::Tensor scale = of("weight") / (of("running_var") + kFusionNormEps).sqrt();
  used.insert(norm + "num_batches_tracked");
  bias = (bias - of("running_mean")) * scale + of("bias");
  weight = weight * scale.view({-1, 1, 1, 1});
}

// What no forward pass reads: the coarsest level's first unit, an auxiliary head.
bool is_unused(const std::string& name) {
  return name.find("layers.0.residual_layer1.") != std::string::npos ||
         name.find("refinenet4.resConfUnit1.") != std::string::npos ||
         name.find("fusion_blocks.0.res_conv_unit1.") != std::string::npos;
}

}  // namespace

const DepthNames* depth_names_of(const TensorContainer& files) {
  for (const DepthNames& library : kLibraries)
    if (files.contains(std::string(library.sign))) return &library;
  return nullptr;
}

std::string DepthNames::theirs(const std::string& ours) const {
  for (const std::span<const DepthName> list : {names, of_end})
    for (const DepthName& name : list)
      if (auto found = match_pattern(name.ours, ours)) {
        if (!found->number.empty()) found->number = numbered(found->number, name.number);
        return filled_pattern(name.theirs, *found);
      }
  return "";
}

DenseHeadConfig DepthNames::described(const TensorContainer& files) const {
  const auto rows_of = [&](const std::string& ours) {
    const std::vector<int64_t>& shape = files.tensor(theirs(ours)).shape;
    return shape.empty() ? int64_t{0} : shape.front();
  };
  DenseHeadConfig head;
  head.head = "dpt";
  head.norm = is_depth_anything;
  head.readout = files.contains(theirs("readout.0.weight")) ? "project" : "ignore";
  head.sizes = is_depth_anything ? "pixels" : "double";
  head.channels = rows_of("lateral.0.weight");
  head.last_channels = rows_of("head.1.weight");
  head.projection = files.contains(theirs("projection.weight"));
  std::vector<std::string> widths;
  for (int64_t level = 0; level < kNumLevels; ++level)
    widths.push_back(std::to_string(rows_of(concat("reassemble.", level, ".weight"))));
  head.level_channels = join(widths, ",");
  return head;
}

NamedTensors DepthNames::load(const TensorContainer& files,
                              const std::vector<ParameterRow>& rows) const {
  NamedTensors weights;
  std::set<std::string> used;
  const auto is_unit_bias = [](const ParameterRow& row) {
    return row.local_name.find(".unit") != std::string::npos && row.local_name.ends_with(".bias");
  };
  // DPT's units may have none; all of them then.
  const bool has_no_biases =
      !is_depth_anything && std::none_of(rows.begin(), rows.end(), [&](const ParameterRow& row) {
        return is_unit_bias(row) && files.contains(theirs(row.local_name));
      });
  for (const ParameterRow& row : rows) {
    const std::string name = theirs(row.local_name);
    if (has_no_biases && is_unit_bias(row)) {
      weights[row.local_name] = at::zeros(row.shape);
      continue;
    }
    weights[row.local_name] = shaped(files, name, row.shape);
    used.insert(name);
  }
  for (const ParameterRow& row : rows) {
    if (!row.local_name.starts_with("fusion.") || !row.local_name.ends_with(".weight")) continue;
    const std::string ours = row.local_name.substr(0, row.local_name.size() - 6);
    const std::string norm = norm_of(theirs(ours + "weight"));
    const std::string layer = norm.substr(0, norm.size() - 6);
    if (files.contains(layer + "running_mean"))
      take_batch_norm_in(files, layer, used, weights[ours + "weight"], weights[ours + "bias"]);
  }
  for (const std::string& name : files.names()) {
    const bool is_own = std::any_of(prefixes.begin(), prefixes.end(), [&](std::string_view prefix) {
      return name.starts_with(prefix);
    });
    if (is_own && used.count(name) == 0 && !is_unused(name))
      throw CheckpointError(files.place().string(), ": '", name,
                            "' is a part of the head that none of ours has");
  }
  return weights;
}

void take_final_norm_in(const NamedTensors& final_norm, const DenseHeadConfig& head, int64_t depth,
                        NamedTensors& weights) {
  const auto scale = final_norm.find("norm.weight"), shift = final_norm.find("norm.bias");
  if (scale == final_norm.end()) return;
  const std::vector<int64_t> blocks = head.blocks(depth);
  const bool has_readout = head.readout == "project";
  const auto seen = [&](const at::Tensor& one_D) {  // the class token's as well
    return has_readout ? at::cat({one_D, one_D}) : one_D;
  };
  for (size_t level = 0; level < blocks.size(); ++level) {
    if (blocks[level] == depth - 1) continue;
    const std::string layer = concat(has_readout ? "readout." : "reassemble.", level);
    at::Tensor& weight = weights.at(layer + ".weight");
    const at::Tensor matrix = weight.flatten(1);
    if (shift != final_norm.end())
      weights.at(layer + ".bias") += at::mv(matrix, seen(shift->second.to(at::kFloat)));
    weight = (matrix * seen(scale->second.to(at::kFloat))).view(weight.sizes());
  }
}

}  // namespace vit22b
