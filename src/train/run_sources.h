#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/run_checkpoint.h"
#include "train/config.h"
#include "train/data_setup.h"

namespace vit22b {

/// Makes the places that a config names whole paths, so that its run works from any folder: the
/// data, init_from, the state's file, and the places of every task.
///
/// base  the folder that relative ones are in
void make_places_absolute(TrainConfig& config, const std::filesystem::path& base);

/// The config of the run that a folder is, with whole paths, also of a run that has been written
/// with relative ones: from where it was started, as its meta.json has it.
///
/// throws  UsageError as train_config_from_tree
TrainConfig read_run_config(const std::filesystem::path& run);

/// What the checkpoints and files that a config names beside its data are, by the option that names
/// them: hashes that do not depend on their places; "" for what is not there.
std::map<std::string, std::string> source_hashes(const TrainConfig& config);

/// The options of a run whose things were only moved: what is there now is what the run had, or is
/// not there at all.
std::vector<std::string> moved_sources(const std::map<std::string, std::string>& then,
                                       const std::map<std::string, std::string>& now);

/// Says what a resumed run goes on with beside its own weights and is not what it was: what it
/// started from is not asked for any more.
void warn_of_other_sources(const TrainConfig& config,
                           const std::map<std::string, std::string>& then,
                           const std::map<std::string, std::string>& now);

/// What a run's images are: "train" and, where there is one, "val".
std::map<std::string, DataRecord> data_records(const TrainData& data);

/// How images differ from what they were, in a few words; "" where they do not.
std::string data_difference(const DataRecord& then, const DataRecord& now);

/// Says in one line for each of a resumed run's sources when it is not what it was.
void warn_of_other_data(const DataConfig& config, const std::map<std::string, DataRecord>& then,
                        const std::map<std::string, DataRecord>& now);

/// Refuses the part that a run held out of its training images where it would not be that part any
/// more; warns where its pictures have changed, or the run does not say what they were.
///
/// throws  DataError that says what to do
void check_held_out(const std::filesystem::path& run, const DataConfig& config,
                    const TrainData& data);

}  // namespace vit22b
