#include <nlohmann/json.hpp>

#include "checkpoint/container/containers.h"
#include "checkpoint/import/depth_given.h"
#include "checkpoint/import/depth_head.h"
#include "checkpoint/import/depth_names.h"
#include "core/error.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

constexpr double kLeastDinov2Depth = 0.001;  // metres, in all of them
constexpr int64_t kDinov2Levels = 4;
constexpr const char* kDinov2Linear = "decode_head.conv_depth.weight";
/// The blocks that DINOv2's heads of four see, by how many its backbones have.
///
/// source  facebookresearch/dinov2 dinov2/hub/depthers.py
constexpr std::pair<int64_t, const char*> kDinov2Blocks[] = {
    {12, "2,5,8,11"}, {24, "4,11,17,23"}, {40, "9,19,29,39"}};

/// A linear head's: how many bins, and of how many blocks.
int64_t read_linear(const TensorContainer& file, const ViTConfig& model, DepthInfo& info) {
  const std::vector<int64_t>& shape = file.tensor(kDinov2Linear).shape;
  const int64_t width = 2 * model.embed_dim;  // each patch beside the class token
  const int64_t blocks = shape.size() == 4 && shape[1] % width == 0 ? shape[1] / width : 0;
  if (blocks != 1 && blocks != kDinov2Levels)
    throw CheckpointError(file.place().string(), ": '", kDinov2Linear, "' has shape ",
                          shape_text(shape), ", want [bins, ", width, " or ", kDinov2Levels * width,
                          ", 1, 1] for this model");
  info.head.readout = "project";
  info.output.bins = shape[0];
  return blocks;
}

NamedTensors linear_weights(const TensorContainer& file, const std::vector<ParameterRow>& rows) {
  const std::string layer(kDinov2Linear, std::string_view(kDinov2Linear).rfind('.'));
  NamedTensors weights;
  for (const ParameterRow& row : rows) {
    const std::string name = layer + row.local_name.substr(row.local_name.rfind('.'));
    const at::Tensor value = file.load(name).to(at::kFloat);
    std::vector<int64_t> sides = value.sizes().vec();
    while (sides.size() > row.shape.size() && sides.back() == 1) sides.pop_back();
    if (sides != row.shape)
      throw CheckpointError(file.place().string(), ": '", name, "' has shape ",
                            shape_text(value.sizes()), ", want ", shape_text(row.shape));
    weights[row.local_name] = value.reshape(row.shape).contiguous();
  }
  for (const std::string& name : file.names())
    if (name.starts_with("decode_head.") && name != kDinov2Linear && name != layer + ".bias")
      throw CheckpointError(file.place().string(), ": '", name,
                            "' is a part of the head that none of ours has");
  return weights;
}

}  // namespace

std::optional<ImportedDepthHead> read_dinov2_depth_head(const std::filesystem::path& place,
                                                        const ViTConfig& model) {
  const std::string text = place.string();
  const size_t mark = std::min(text.rfind('?'), text.size());
  const TensorContainer file = open_container(text.substr(0, mark));
  const DepthNames* names = depth_names_of(file);
  if (!file.contains(kDinov2Linear) && names == nullptr) return std::nullopt;
  ImportedDepthHead head;
  DepthInfo& info = head.info;
  info.output.min_depth = kLeastDinov2Depth;
  info.is_padded_around = true;
  int64_t num_blocks = kDinov2Levels;
  if (names != nullptr) {
    info.head = names->described(file);
    info.output.output = "metres";
    info.output.upsample = 1;
  } else {
    num_blocks = read_linear(file, model, info);
  }
  info.head.norm = false;
  for (const auto& [depth, blocks] : kDinov2Blocks)
    if (depth == model.depth && num_blocks == kDinov2Levels) info.head.layers = blocks;
  std::vector<std::string> wanted = {"max_depth"};
  if (num_blocks > 1) wanted.emplace_back("layers");
  const auto none = nlohmann::ordered_json::object();
  CheckpointPath given;
  given.given = mark < text.size() ? text.substr(mark + 1) : "";
  apply_given_depth({given, none, file.place().string()}, wanted, info);
  info.head.check();
  info.output.check();
  if (std::ssize(info.head.blocks(model.depth)) != num_blocks)
    throw CheckpointError(file.place().string(), " sees ", num_blocks,
                          " blocks, depth.layers=", info.head.layers, " names ",
                          info.head.blocks(model.depth).size());
  const std::vector<ParameterRow> rows = depth_rows(info, model);
  head.weights = names != nullptr ? names->load(file, rows) : linear_weights(file, rows);
  return head;
}

}  // namespace vit22b
