#pragma once
#include <string>

#include "cli/command.h"
#include "eval/load_predictor.h"
#include "eval/pixel_changes.h"

namespace vit22b {

/// A checkpoint, and what a user says otherwise of how it sees pictures and names its classes.
struct CheckpointFlags {
  std::string path;
  PixelChanges pixels;
  std::string labels;
};

/// Adds --pp, --img-size, --crop-pct and --interpolation, which mean the same in every command.
void add_pixel_flags(
    CLI::App& command, PixelChanges& changes,
    const std::string& pp_help = "transform of the pictures instead of the checkpoint's");
/// Their names, for refuse_options.
std::vector<std::string> pixel_flag_names();
/// Adds --labels, for commands that tell classes by name.
void add_labels_flag(
    CLI::App& command, std::string& labels,
    const char* help = "file with the name of a class a line, instead of the checkpoint's names");
/// The help of commands whose classes are the data's.
constexpr const char* kLabelsOfData =
    "file with the name of a class a line, in the data's order, instead of its own names";
/// Adds --class-map.
///
/// which  "the model's classes the data's names are"
void add_class_map_flag(CLI::App& command, std::string& class_map, const std::string& which);
/// Adds the positional checkpoint and the pixel flags.
void add_checkpoint_flags(CLI::App& command, CheckpointFlags& flags,
                          const char* checkpoint_help = "checkpoint or run folder");

/// How a command opens a checkpoint.
PredictorOptions predictor_options(const CommonFlags& flags, const Device& device);

/// Changes an opened model as the flags ask for it: its transform, the size of its input, and its
/// classes' names.
///
/// throws  UsageError as apply_pixel_changes does; DataError as read_labels does
void apply_checkpoint_flags(const CheckpointFlags& flags, LoadedModel& model);

/// Opens a checkpoint and changes it as the flags ask for it.
LoadedModel open_checkpoint(const CheckpointFlags& flags, const PredictorOptions& options);

/// A file of class names, a line each in the order of the classes; a byte order mark and Windows'
/// line ends are left out.
///
/// throws  DataError for an empty line, or another number of names
std::vector<std::string> read_labels(const std::string& path, int64_t num_classes);

/// A class by its name, else its number.
std::string label_text(const ModelInfo& info, int64_t index);

}  // namespace vit22b
