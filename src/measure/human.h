#pragma once
#include "eval/result.h"
#include "measure/human_trials.h"

namespace vit22b {

/// How alike observers are to people, by model-vs-human's protocol: accuracy, observed consistency
/// and error consistency (kappa) against each person, a mean over people, then over the conditions
/// that count; shape bias of cue-conflict images.
///
/// Of people among themselves each pair counts once. Where there is one model, SET.accuracy,
/// SET.kappa, SET.observed_consistency and the shape bias are its, else the people's. With several
/// models each has a mean rank over accuracy difference, observed and error consistency.
///
/// What compares with people is undefined in an experiment without people's trials.
///
/// throws  DataError for a model that has no image in common with an experiment's people
Result measure_human(const Experiments& experiments);

}  // namespace vit22b
