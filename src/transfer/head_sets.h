#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "data/source.h"
#include "eval/labelled_features.h"

namespace vit22b {

/// How a test is drawn from the training samples, class by class; not at all by default.
struct TestDraw {
  std::string part;   ///< "20%", which is tested once
  int64_t folds = 0;  ///< or so many parts, each tested in turn
  int64_t seed = 0;

  bool is_drawn() const { return !part.empty() || folds > 0; }
  /// "20% of train, by class, seed 0".
  std::string name(const std::string& of) const;
};

/// Which rows of a training and a test table belong to one fit; all of them where undefined.
struct RowSplit {
  at::Tensor train, test;
};

/// Draws the rows of each fit; one fit of all rows where nothing is drawn.
///
/// throws  DataError where a fit would have no training or no test sample
std::vector<RowSplit> draw_rows(const LabelledFeatures& set, const TestDraw& draw);

/// A training and a test set of one kind.
struct HeadData {
  LabelledFeatures train, test;
  int64_t num_classes = 0;
};

/// The training and test sets that a method fits and tests on: one pair, or one a fold.
struct HeadSets {
  LabelledFeatures train, test;  ///< the same where the test is drawn from the training samples
  int64_t num_classes = 0;
  std::string split;  ///< what the test is, for people and JSON: "test", "20% of train, by class"
  std::vector<RowSplit> rows = std::vector<RowSplit>(1);

  HeadData at(size_t fit) const;
  /// The fewest training samples of a fit.
  int64_t num_train() const;
};

/// Two sets in the classes of the first, one pair.
///
/// throws  DataError as in_classes_of and count_classes
HeadSets head_sets(LabelledFeatures train, LabelledFeatures test, const std::string& class_map,
                   const std::string& split);

/// Checks by content that no fit tests on its training pictures.
///
/// indices  where each row's sample stands in the source, int64
/// throws   as check_overlap
void check_overlap_of_rows(const std::vector<RowSplit>& rows, const at::Tensor& indices,
                           const std::shared_ptr<const DataSource>& source);

}  // namespace vit22b
