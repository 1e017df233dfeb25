#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"
#include "train/config.h"

namespace vit22b {

/// The sources of a run.
struct TrainData {
  std::shared_ptr<const DataSource> train;
  std::shared_ptr<const DataSource> val;  ///< null where data.val is ""
};

/// How the config has its source read.
SourceOptions source_options(const DataConfig& config);

/// Opens the training split and the validation images: a split of its own, whose classes are
/// matched with the training split's by name, or a part held out of the training split by a fixed
/// draw, the same for every seed.
///
/// throws  DataError, also for a class that the training split lacks; UsageError for a data.val
/// that
///         is neither
TrainData open_train_data(const DataConfig& config);

/// Fills in what the data decides for a task of classes: their number, their names, the transforms.
///
/// start   the checkpoint that stands in for init_from where the run goes on from one of its own
/// throws  DataError when the data has more classes than the model
void complete_from_data(TrainConfig& config, const DataSource& source,
                        const std::string& start = "");

/// Gives the images of a validation split the training split's classes, by name.
///
/// throws  DataError naming a class that the training split lacks
void match_validation(const TrainConfig& config, TrainData& data);

}  // namespace vit22b
