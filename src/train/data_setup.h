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

/// Opens the training split and the validation images: a split of its own, or a part held out of
/// the training split by a fixed draw, the same for every seed.
///
/// throws  DataError, UsageError for a data.val that is neither
TrainData open_train_data(const DataConfig& config);

/// Fills in what the data decides: the number of classes, their names, the transforms.
///
/// throws  DataError when the data has more classes than the model
void complete_from_data(TrainConfig& config, const DataSource& source);

}  // namespace vit22b
