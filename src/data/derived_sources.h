#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// These samples of another source; labels stay.
std::unique_ptr<DataSource> make_subset(std::shared_ptr<const DataSource> whole,
                                        std::vector<int64_t> indices);

/// Another source with other classes.
///
/// new_labels  by the old label; samples without one stay so
/// names       of the new labels
std::unique_ptr<DataSource> make_relabelled(std::shared_ptr<const DataSource> whole,
                                            std::vector<int64_t> new_labels,
                                            std::vector<std::string> names);

/// The samples that have a caption; a warning says how many have none.
///
/// throws  DataError where none has one
std::shared_ptr<const DataSource> with_captions(std::shared_ptr<const DataSource> whole,
                                                const std::string& place);

}  // namespace vit22b
