#include "model/dense/head_config.h"

#include <algorithm>

#include "core/error.h"
#include "core/range.h"

namespace vit22b {
namespace {

constexpr int64_t kLevels = 4;  // of upernet

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
  v.choice("head", head, "linear|bn_linear|upernet",
           "a linear layer (Segmenter's), batch norm and a linear layer (DINOv2's), or UperNet");
  v.field("layers", layers,
          "blocks from 0 whose outputs the head sees, such as 2,5,8,11; by default the last, of "
          "upernet four that are evenly spread");
  v.field("norm", norm, "whether these outputs pass the model's final norm, or are raw");
  v.field("dropout", dropout, "share of a picture's channels set to 0 before the last layer");
  v.field("channels", channels, "head=upernet: its channels");
  v.field("aux_channels", aux_channels, "head=upernet: channels of the auxiliary head; 0 for none");
  v.field("aux_weight", aux_weight, "head=upernet: weight of the auxiliary head's loss");
}

void DenseHeadConfig::check() const {
  constexpr int64_t kMostChannels = 65'536;
  if (!(dropout >= 0 && dropout < 1))
    throw UsageError("dropout is ", dropout, ", want 0 to below 1");
  if (channels < 1 || channels > kMostChannels)
    throw UsageError("channels is ", channels, ", want 1 to ", kMostChannels);
  if (aux_channels < 0 || aux_channels > kMostChannels)
    throw UsageError("aux_channels is ", aux_channels, ", want 0 to ", kMostChannels);
  check_range("aux_weight", aux_weight, Range::from_zero());
}

std::vector<int64_t> DenseHeadConfig::blocks(int64_t depth) const {
  std::vector<int64_t> blocks;
  if (!layers.empty()) {
    for (const std::string& part : split(layers, ','))
      blocks.push_back(block_number(trim(part), depth));
  } else if (head == "upernet") {
    for (int64_t level = 1; level <= kLevels; ++level)
      blocks.push_back(std::max<int64_t>(1, depth * level / kLevels) - 1);
  } else {
    blocks.push_back(depth - 1);
  }
  if (!std::is_sorted(blocks.begin(), blocks.end()))
    throw UsageError("layers=", layers, ": want the blocks from the lowest to the last");
  if (head == "upernet" && std::ssize(blocks) == 1) blocks.resize(kLevels, blocks.front());
  if (head == "upernet" && std::ssize(blocks) != kLevels)
    throw UsageError("layers=", layers, ": upernet sees ", kLevels, " blocks, or one four times");
  return blocks;
}

}  // namespace vit22b
