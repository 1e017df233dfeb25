#pragma once
#include "cli/command.h"

namespace vit22b {

/// Adds `eval calibration`, `eval selective` and `eval ood`: of what a model says of a data set, or
/// of anybody's logits.
void add_eval_measures(CLI::App& eval);

/// Adds `eval robustness`: of a model on corrupted pictures.
void add_eval_robustness(CLI::App& eval);

/// Adds `eval fairness`: of a table.
void add_eval_fairness(CLI::App& eval);

/// Adds `eval human`: of people's and models' tables, and of a model on their images.
void add_eval_human(CLI::App& eval);

/// Adds `eval perceptual`: of a model's distances beside people's.
void add_eval_perceptual(CLI::App& eval);

/// Adds `eval segmentation`: of a head's classes of pixels, or of anybody's masks.
void add_eval_segmentation(CLI::App& eval);

/// Adds `eval depth`: of anybody's depth maps.
void add_eval_depth(CLI::App& eval);

}  // namespace vit22b
