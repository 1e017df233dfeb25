#include "checkpoint/model_info.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "checkpoint/import/importer.h"
#include "checkpoint/import/own.h"
#include "checkpoint/manifest.h"
#include "checkpoint/weights.h"
#include "core/checksum.h"
#include "core/error.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr double kCropFraction = 0.9;  // timm's default for plain ViTs

}  // namespace

std::string default_pp_eval(const ViTConfig& c) {
  const auto resized = [](int64_t side) {
    return std::llround(std::floor(static_cast<double>(side) / kCropFraction));
  };
  const std::string channels = c.in_chans == 1 ? "|gray" : "|rgb";
  if (c.img_size.height == c.img_size.width)
    return concat("decode", channels, "|resize_small(", resized(c.img_size.height),
                  ",bicubic)|central_crop(", c.img_size.height, ")|value_range(-1,1)");
  return concat("decode", channels, "|resize(", c.img_size.height, ",", c.img_size.width,
                ",bicubic)|value_range(-1,1)");
}

ModelInfo read_model_info(const CheckpointPath& checkpoint) {
  ModelInfo info;
  with_import_files(checkpoint, [&](const ImportFiles& files) {
    info = importer_of(files).describe(files);
    if (files.config.contains("label_names") && files.config.at("label_names").is_array())
      info.label_names = files.config.at("label_names").get<std::vector<std::string>>();
  });
  return info;
}

std::string model_fingerprint(const CheckpointPath& checkpoint) {
  std::string text = fields_text(read_model_info(checkpoint).config);
  std::vector<fs::path> unrecorded;
  const Manifest manifest = read_manifest(checkpoint.folder);
  for (const fs::path& path : open_weights(checkpoint).files()) {
    const auto it = manifest.find(path.filename().string());
    if (it == manifest.end()) {
      unrecorded.push_back(path);
      continue;
    }
    text += concat(it->first, " ", it->second.hash, "\n");
    for (const auto& [tensor, hash] : it->second.tensors) text += concat(tensor, " ", hash, "\n");
  }
  if (!unrecorded.empty()) text += file_fingerprint(unrecorded);
  return hash_of_text(text);
}

}  // namespace vit22b
