#pragma once
#include <string>
#include <vector>

#include "eval/load_predictor.h"
#include "eval/text_tower.h"

namespace vit22b {

/// Makes a two-tower model a classifier of classes that are told by name: a logit is the cosine of
/// an image's and a class's embedding, times the towers' scale, plus their bias; its other outputs
/// stay. What is known of the model says so: its classes and their names.
///
/// templates  sentences with {} for the class's name, whose embeddings' mean is the class's
/// place      of the templates, for messages
/// throws     DataError for a template without {}, or for one class
void classify_by_names(LoadedModel& model, const TextTower& tower,
                       const std::vector<std::string>& names,
                       const std::vector<std::string>& templates, const std::string& place);

}  // namespace vit22b
