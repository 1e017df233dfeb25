#pragma once
#include <functional>
#include <string>

#include "data/source.h"
#include "data/transforms.h"
#include "train/config.h"

namespace vit22b {

/// The transform of training images unless a user writes another: random crops and flips, then the
/// channels and the range of the evaluation transform, so that both give the model the same pixels.
///
/// areas  what the crop's areas are in percent, ",50,100"; "" for the operation's own
std::string training_transform(const ViTConfig& model, const std::string& pp_eval,
                               const std::string& areas = "");

/// Fills in the transforms that a config leaves open: a run that starts from a checkpoint has the
/// checkpoint's at the model's size, another one the model's default. Warns of written ones with
/// another range.
///
/// start   the checkpoint that stands in for init_from where the run goes on from one of its own
/// throws  UsageError where size or channels differ and the checkpoint's transform cannot follow
void complete_transforms(TrainConfig& config, const std::string& start = "");

/// Warns where a run's transforms give pixels another range than a checkpoint's weights know.
void warn_of_other_range(const DataConfig& data, const std::string& checkpoint,
                         const std::string& checkpoint_pp);

/// Shows the first few samples that can be read, transformed.
void look_at_first(const DataSource& source, const Transforms& transforms,
                   const std::function<void(const Sample& sample)>& look);

/// Looks at the first images that can be read, before any work.
///
/// throws  UsageError where the transform gives them other channels than the model's, bytes, or,
///         unless any size will do, another size
void check_transform(const ViTConfig& model, const DataSource& source, const Transforms& transforms,
                     bool any_size);

}  // namespace vit22b
