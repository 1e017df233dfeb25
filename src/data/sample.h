#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/field.h"

namespace vit22b {

/// The field that models see.
constexpr const char* kImageField = "image";

/// Of a picture, unless somebody asks for more: 8,192 x 8,192, 192 MiB as RGB.
constexpr int64_t kMaxPixels = int64_t{1} << 26;

/// One datum on its way through the transforms: named fields, each of a kind, encoded or decoded.
/// What is known of it without reading anything, its label and captions, stands beside them.
struct Sample {
  std::map<std::string, Field> fields;  ///< "image" where it has one
  int64_t max_pixels = kMaxPixels;      ///< what `decode` takes of a picture
  int64_t label = -1;                   ///< -1 where the source has none
  std::vector<std::string> captions;
  int64_t index = -1;   ///< in its source
  std::string id;       ///< file name or index, for messages
  std::string content;  ///< content_hash's, where a loader is asked for it
};

/// What a sample is, whatever its name: xxh3_128 of its image's bytes, or of its fields' values
/// where it has no file.
///
/// sample  as its source gave it, before any transform
std::string content_hash(const Sample& sample);

}  // namespace vit22b
