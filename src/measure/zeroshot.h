#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "eval/labelled_features.h"
#include "eval/text_tower.h"
#include "measure/heads.h"

namespace vit22b {

/// Embedded images, a vector for each class that an answer may be, and which class is right.
struct ZeroshotQuestion {
  at::Tensor features_NE, classes_CE, labels_N;
  std::vector<std::string> names;     ///< of the classes, or none
  std::string place;                  ///< of the images, for messages
  std::vector<std::string> contents;  ///< of the images; empty where nobody knows

  int64_t num_classes() const { return classes_CE.size(0); }
  /// [N, C]: each image's similarity to each class.
  at::Tensor scores() const;
};

/// Each class's mean embedding over the templates, of length 1: [C, E].
///
/// templates  sentences with {} for the class's name
/// throws     DataError naming one without it, and `place`
at::Tensor class_embeddings(const TextTower& tower, const std::vector<std::string>& names,
                            const std::vector<std::string>& templates, const std::string& place);

/// Images with labels, asked which of the candidates they are.
///
/// class_map  which candidates the data's names are, as label_map has it; "" for their own
/// throws     DataError naming a label that is no candidate
ZeroshotQuestion question_of_names(const LabelledFeatures& images,
                                   const std::vector<std::string>& candidates,
                                   const at::Tensor& candidates_CE, const std::string& class_map);
/// Images and texts of one space; texts with one label are one class, in as many words.
///
/// throws  DataError for a label without a text
ZeroshotQuestion question_of_pairs(const PairedFeatures& pairs);

/// The same with only those classes that some image has, so that no answer is outside of them.
ZeroshotQuestion of_used_classes(ZeroshotQuestion asked);

/// Each image's most similar class, beside the recall and what chance would give.
///
/// split      of the images, as HeadSets has it
/// templates  how many sentences a class has
HeadAnswers answers_to(const ZeroshotQuestion& question, const std::string& split,
                       int64_t templates);

}  // namespace vit22b
