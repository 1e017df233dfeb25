#pragma once
#include <filesystem>
#include <memory>

#include "checkpoint/two_towers.h"
#include "core/device.h"
#include "data/tokenizer.h"
#include "store/weight_source.h"
#include "train/data_setup.h"
#include "train/tasks/lit.h"

namespace vit22b {

/// What a LiT run has beside the text tower that it trains.
struct LitParts {
  CheckpointPath image_tower;
  ModelInfo image;  ///< without its classifier where it trains
  bool is_unlocked = false;
  std::vector<std::string> templates;  ///< for zero-shot classification
  std::shared_ptr<const Tokenizer> tokenizer;

  /// What its checkpoints say of the model.
  ModelInfo info(const ViTConfig& text) const;
  FrozenParts frozen() const {
    return {is_unlocked ? CheckpointPath() : image_tower, tokenizer->file_bytes()};
  }
};

/// Leaves images without a caption out, with a warning.
///
/// throws  DataError for data without captions
void keep_captioned(const TrainConfig& config, TrainData& data);

/// How many pieces the options' tokenizer has, or is to have.
int64_t num_pieces(const LitConfig& lit);

/// Trains the tokenizer that the options ask for (train:N) from the captions, and leaves it in the
/// run's folder.
///
/// throws  UsageError for another lit.tokenizer
void train_tokenizer(const LitConfig& lit, const DataSource& train,
                     const std::filesystem::path& run, FileOps& ops);

/// Opens the image tower and the tokenizer, and completes the text tower's config: vocabulary,
/// width of the joint embedding, transforms.
///
/// from    the checkpoint that the run goes on from, whose tokenizer it is then; "" for a first
///         start, whose is the config's, or the one that train_tokenizer has left in the folder
/// throws  CheckpointError for either
LitParts open_lit(const LitConfig& lit, TrainConfig& config, const std::filesystem::path& run,
                  const std::filesystem::path& from);

/// The weights that a run of these parts starts from: the image tower's from its checkpoint, the
/// text tower's fresh.
std::unique_ptr<WeightSource> first_weights(const LitParts& parts, uint64_t seed);

/// Replaces images by the image tower's cached features where the config says so; what is not
/// cached yet one rank makes for all.
void embed_images_once(const LitConfig& lit, const TrainConfig& config, const Device& device,
                       const Mesh& mesh, TrainData& data);

}  // namespace vit22b
