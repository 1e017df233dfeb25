#include "model/dense/head_config.h"

#include <algorithm>

#include "core/error.h"
#include "core/range.h"

namespace vit22b {
namespace {

constexpr int64_t kLevels = 4;  // of upernet and dpt
constexpr int64_t kMostChannels = 65'536;

int64_t block_number(const std::string& text, int64_t depth) {
  const bool is_number = !text.empty() && text.size() < 10 &&
                         text.find_first_not_of("0123456789") == std::string::npos;
  const int64_t block = is_number ? std::stoll(text) : depth;
  if (block >= depth)
    throw UsageError("layers: '", text, "', want blocks of the model, 0 to ", depth - 1,
                     ", with commas between them");
  return block;
}

}  // namespace

void DenseHeadConfig::fields(FieldVisitor& v) {
  v.choice(
      "head", head, "linear|bn_linear|upernet|dpt",
      "a linear layer (Segmenter's), batch norm and a linear layer (DINOv2's), UperNet, or DPT");
  v.field("layers", layers,
          "blocks from 0 whose outputs the head sees, such as 2,5,8,11; by default the last, of "
          "upernet and dpt four that are evenly spread; one is seen four times there");
  v.field("norm", norm, "whether these outputs pass the model's final norm, or are raw");
  v.choice("readout", readout, "ignore|add|project",
           "what the class token does: nothing, it is added to each patch, or stands beside each "
           "(DPT's project)");
  v.field("dropout", dropout, "share of a picture's channels set to 0 before the last layer");
  v.field("channels", channels, "head=upernet, dpt: its channels; 0 for 512 and 256");
  v.field("aux_channels", aux_channels, "head=upernet: channels of the auxiliary head; 0 for none");
  v.field("aux_weight", aux_weight, "head=upernet: weight of the auxiliary head's loss");
  v.field("level_channels", level_channels,
          "head=dpt: channels of its four levels, such as 96,192,384,768; empty for an eighth, a "
          "quarter, a half and all of the model's width");
  v.field("last_channels", last_channels, "head=dpt: channels of its last layer but one");
  v.choice(
      "sizes", sizes, "double|pixels",
      "head=dpt: each map is made twice as large (DPT's), or as large as the next level and at "
      "last as the picture (Depth Anything's)");
  v.field("projection", projection,
          "head=dpt: a convolution and ReLU before its last three layers (DINOv2's)");
}

void DenseHeadConfig::check() const {
  if (!(dropout >= 0 && dropout < 1))
    throw UsageError("dropout is ", dropout, ", want 0 to below 1");
  if (channels < 0 || channels > kMostChannels || (head == "dpt" && width() < 2))
    throw UsageError("channels is ", channels, ", want 1 to ", kMostChannels,
                     head == "dpt" ? ", of dpt 2 at least" : "", ", or 0");
  if (last_channels < 1 || last_channels > kMostChannels)
    throw UsageError("last_channels is ", last_channels, ", want 1 to ", kMostChannels);
  if (head == "dpt" && dropout > 0) throw UsageError("dropout is of other heads than dpt; 0 there");
  [[maybe_unused]] const auto widths = level_widths(kLevels);  // refuses what are no four numbers
  if (aux_channels < 0 || aux_channels > kMostChannels)
    throw UsageError("aux_channels is ", aux_channels, ", want 0 to ", kMostChannels);
  check_range("aux_weight", aux_weight, Range::from_zero());
}

std::vector<int64_t> DenseHeadConfig::blocks(int64_t depth) const {
  std::vector<int64_t> blocks;
  if (!layers.empty()) {
    for (const std::string& part : split(layers, ','))
      blocks.push_back(block_number(trim(part), depth));
  } else if (has_levels()) {
    for (int64_t level = 1; level <= kLevels; ++level)
      blocks.push_back(std::max<int64_t>(1, depth * level / kLevels) - 1);
  } else {
    blocks.push_back(depth - 1);
  }
  if (!std::is_sorted(blocks.begin(), blocks.end()))
    throw UsageError("layers=", layers, ": want the blocks from the lowest to the last");
  if (has_levels() && std::ssize(blocks) == 1) blocks.resize(kLevels, blocks.front());
  if (has_levels() && std::ssize(blocks) != kLevels)
    throw UsageError("layers=", layers, ": ", head, " sees ", kLevels,
                     " blocks, or one four times");
  return blocks;
}

std::vector<int64_t> DenseHeadConfig::level_widths(int64_t model_width) const {
  std::vector<int64_t> widths;
  if (level_channels.empty()) {
    for (int64_t part = 8; part > 0; part /= 2)
      widths.push_back(std::max<int64_t>(1, model_width / part));
    return widths;
  }
  for (const std::string& part : split(level_channels, ',')) {
    const std::string text = trim(part);
    const bool is_number = !text.empty() && text.size() < 7 &&
                           text.find_first_not_of("0123456789") == std::string::npos;
    widths.push_back(is_number ? std::stoll(text) : 0);
  }
  const bool is_right =
      std::ssize(widths) == kLevels && std::all_of(widths.begin(), widths.end(), [](int64_t width) {
        return width > 0 && width <= kMostChannels;
      });
  if (!is_right)
    throw UsageError("level_channels=", level_channels, ": want ", kLevels, " numbers from 1 to ",
                     kMostChannels);
  return widths;
}

}  // namespace vit22b
