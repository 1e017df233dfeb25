#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace vit22b {

/// Of a picture, unless somebody asks for more: 8,192 x 8,192, 192 MiB as RGB.
constexpr int64_t kMaxPixels = int64_t{1} << 26;

/// One datum on its way through the transforms: named tensors, and the encoded bytes before
/// `decode`.
///
/// "image" is uint8 [H, W, C] after decode and float32 [H, W, C] after value_range or normalize.
struct Sample {
  std::map<std::string, at::Tensor> fields;
  std::vector<uint8_t> encoded;     ///< an image file's bytes, empty once decoded
  int64_t max_pixels = kMaxPixels;  ///< what `decode` takes
  int64_t label = -1;               ///< -1 where the source has none
  std::vector<std::string> captions;
  int64_t index = -1;   ///< in its source
  std::string id;       ///< file name or index, for messages
  std::string content;  ///< content_hash's, where a loader is asked for it
};

/// What a sample is, whatever its name: xxh3_128 of its encoded bytes, or of its tensors where a
/// source has no files.
///
/// sample  as its source gave it, before any transform
std::string content_hash(const Sample& sample);

}  // namespace vit22b
