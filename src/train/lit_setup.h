#pragma once
#include <filesystem>
#include <memory>

#include "checkpoint/two_towers.h"
#include "core/device.h"
#include "data/tokenizer.h"
#include "train/data_setup.h"

namespace vit22b {

/// What a LiT run has beside the text tower that it trains.
struct LitParts {
  std::filesystem::path image_folder;
  ModelInfo image;  ///< of the locked image tower
  std::shared_ptr<const Tokenizer> tokenizer;

  /// What its checkpoints say of the model.
  ModelInfo info(const ViTConfig& text) const;
  FrozenParts frozen() const { return {image_folder, tokenizer->file_bytes()}; }
};

/// Opens the image tower and the tokenizer, training one where the config says so, and completes
/// the text tower's config: vocabulary, width of the joint embedding, transforms.
///
/// run   where an earlier start of the same run left its tokenizer; it is used again
/// throws  UsageError, DataError for data without captions, CheckpointError
LitParts open_lit(TrainConfig& config, const DataSource& train, const std::filesystem::path& run);

/// Replaces images by the image tower's cached features where the config says so.
void embed_images_once(const TrainConfig& config, const LitParts& parts, const Device& device,
                       bool is_quiet, TrainData& data);

}  // namespace vit22b
