#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/head_command.h"
#include "transfer/head_sets.h"

namespace vit22b {

/// Reads both sets from files of features, or makes them with a checkpoint (or "pixels").
///
/// throws  UsageError for words that do not go together; DataError where the test is not one: the
///         same samples, a split that is not there, a class that the training samples lack
HeadSets open_head_sets(const HeadFlags& flags, const Device& device);

/// The cached features of both sets by name, for heads on several inputs.
struct HeadTables {
  FeatureTable train;
  std::optional<FeatureTable> test;  ///< nothing where the test is drawn from the training samples
  HeadSets sets;                     ///< of the first name
  const FeatureTable& of_test() const { return test ? *test : train; }
};
HeadTables open_head_tables(const HeadFlags& flags, const Device& device,
                            const std::vector<std::string>& names);

/// The training source, and a test's own.
struct HeadSources {
  std::shared_ptr<const DataSource> train, test;  ///< test: null where it is drawn
  std::string train_place, test_place;            ///< for messages
  std::string split;                              ///< as HeadSets has it
};
/// throws  as open_head_sets
HeadSources open_head_sources(const HeadFlags& flags);

}  // namespace vit22b
