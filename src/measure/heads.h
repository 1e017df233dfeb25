#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "eval/result.h"
#include "transfer/head_sets.h"

namespace vit22b {

/// What a head said of the test samples.
struct HeadAnswers {
  std::string method;
  at::Tensor labels_M;
  std::vector<std::string> label_names;  ///< empty where the labels have no names
  int64_t num_classes = 0, num_train = 0;
  std::string place;                  ///< of the test samples, for messages
  std::string split;                  ///< what the test is, as HeadSets has it
  std::vector<std::string> contents;  ///< of the test samples; empty where nobody knows
  /// [S, M] int64, one row a draw; by number of shots or neighbours, or one entry under 0.
  std::map<int64_t, at::Tensor> predicted = {};
  NamedCells chosen = {};  ///< what the method settled on
};

/// A method's answers on a test set, still without predictions.
HeadAnswers answers_on(const std::string& method, const HeadSets& sets, const HeadData& data);

/// The answers of one fit as they are; those of all folds as one, in the order of the samples, of
/// which each is tested once.
HeadAnswers joined_answers(const HeadSets& sets, const std::vector<HeadAnswers>& fits);

/// How answers are measured.
struct HeadMeasure {
  std::string against;      ///< file of predictions of the same samples; "" for none
  int64_t seed = 0;         ///< of intervals
  std::string groups = {};  ///< of classes, as class_groups has them
};

/// The accuracy, its interval, each class's, and the difference to other predictions.
///
/// folds   of which `all` are joined: the accuracy is their mean, beside its spread and each fold's
///         own; fewer than two are no folds
/// throws  DataError for predictions of other samples, or of another number of draws
Result head_result(const HeadAnswers& all, const HeadMeasure& measure,
                   const std::vector<HeadAnswers>& folds = {});

}  // namespace vit22b
