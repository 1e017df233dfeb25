#include "transfer/head_sets.h"

#include <ATen/ATen.h>

#include "core/error.h"
#include "data/derived_sources.h"
#include "data/overlap.h"
#include "data/splits.h"

namespace vit22b {
namespace {

/// Every sample's fold, those of a part as of two folds, of which the second is tested.
std::vector<int64_t> fold_of_rows(const std::vector<int64_t>& labels, const TestDraw& draw) {
  const auto seed = static_cast<uint64_t>(draw.seed);
  if (draw.folds > 0) return draw_folds(labels, draw.folds, seed);
  const std::vector<bool> is_test = draw_part(labels, percent(draw.part).value(), seed);
  return {is_test.begin(), is_test.end()};
}

/// Tests on one fold.
RowSplit rows_of_fold(const std::vector<int64_t>& fold_of_row, int64_t fold) {
  const at::Tensor is_test = at::tensor(fold_of_row, at::kLong).eq(fold);
  return {is_test.logical_not().nonzero().squeeze(1), is_test.nonzero().squeeze(1)};
}

}  // namespace

std::string TestDraw::name(const std::string& of) const {
  return concat(folds > 0 ? concat(folds, " folds") : part, " of ", of, ", by class, seed ", seed);
}

std::vector<RowSplit> draw_rows(const LabelledFeatures& set, const TestDraw& draw) {
  if (!draw.is_drawn()) return {RowSplit{}};
  const auto* first = set.labels_N.const_data_ptr<int64_t>();
  const std::vector<int64_t> fold_of_row = fold_of_rows({first, first + set.size()}, draw);
  std::vector<RowSplit> rows;
  for (int64_t fold = draw.folds > 0 ? 0 : 1; fold < std::max<int64_t>(draw.folds, 2); ++fold)
    rows.push_back(rows_of_fold(fold_of_row, fold));
  for (const RowSplit& of_fit : rows)
    if (of_fit.train.numel() == 0 || of_fit.test.numel() == 0)
      throw DataError(set.place, ": ", set.size(), " samples are too few for ", draw.name("them"));
  return rows;
}

HeadData HeadSets::at(size_t fit) const {
  const RowSplit& of_fit = rows.at(fit);
  return {of_fit.train.defined() ? train.subset(of_fit.train) : train,
          of_fit.test.defined() ? test.subset(of_fit.test) : test, num_classes};
}

int64_t HeadSets::num_train() const {
  int64_t fewest = train.size();
  for (const RowSplit& of_fit : rows)
    if (of_fit.train.defined()) fewest = std::min(fewest, of_fit.train.size(0));
  return fewest;
}

HeadSets head_sets(LabelledFeatures train, LabelledFeatures test, const std::string& class_map,
                   const std::string& split) {
  test = in_classes_of(train, std::move(test), class_map);
  const int64_t num_classes = count_classes(train, test);
  return {std::move(train), std::move(test), num_classes, split};
}

void check_overlap_of_rows(const std::vector<RowSplit>& rows, const at::Tensor& indices,
                           const std::shared_ptr<const DataSource>& source) {
  const auto samples = [&](const at::Tensor& of_fit) {
    const at::Tensor chosen = indices.index_select(0, of_fit).contiguous();
    const auto* first = chosen.const_data_ptr<int64_t>();
    return make_subset(source, {first, first + chosen.numel()});
  };
  for (const RowSplit& of_fit : rows) check_overlap(*samples(of_fit.train), *samples(of_fit.test));
}

}  // namespace vit22b
