#pragma once
#include "cli/command.h"
#include "eval/pixel_predictor.h"

namespace vit22b {

/// Adds `segment run`: the classes of image files' pixels, as pictures.
void add_segment_run(CLI::App& segment);

/// Adds --window, --stride, --scales and --flip.
void add_view_flags(CLI::App& command, SegmentOptions& how);

}  // namespace vit22b
