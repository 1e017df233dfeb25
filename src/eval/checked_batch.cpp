#include "eval/checked_batch.h"

#include <ATen/ATen.h>

#include "core/error.h"
#include "eval/finite.h"

namespace vit22b {
namespace {

// place  the file of the logits; "" where a model gave them
void check_labels(const at::Tensor& labels_B, int64_t num_classes,
                  const std::vector<std::string>& ids, const std::string& place) {
  const at::Tensor bad = at::logical_or(labels_B.lt(0), labels_B.ge(num_classes)).nonzero();
  if (bad.numel() == 0) return;
  const auto first = bad[0].item<int64_t>();
  const std::string& id = ids.at(static_cast<size_t>(first));
  const auto label = labels_B[first].item<int64_t>();
  const std::string where = place.empty() ? id : concat(place, ": ", id);
  if (label < 0) throw DataError(where, " has no label");
  throw DataError(where, ": label ", label, ", but ",
                  place.empty() ? "the model has " : "the logits are of ", num_classes, " classes");
}

/// Leaves a batch's answers to these classes alone, and numbers its labels among them.
void restrict_to(const std::vector<int64_t>& classes, PredictedBatch& batch) {
  const at::Tensor kept = at::tensor(classes, at::kLong);
  at::Tensor place_of_class = at::full({batch.logits_BC.size(1)}, -1, at::kLong);
  place_of_class.index_copy_(0, kept, at::arange(kept.size(0), at::kLong));
  batch.logits_BC = batch.logits_BC.index_select(1, kept);
  batch.labels_B = place_of_class.index_select(0, batch.labels_B);
}

}  // namespace

PredictedBatch checked(PredictedBatch batch, const EvalOptions& options, const std::string& place) {
  if (place.empty())
    check_finite(batch.logits_BC, "logits", batch.ids);
  else if (!batch.logits_BC.isfinite().all().item<bool>())
    throw NumbersError(place, ": logits have values that are not finite, from ", batch.ids.front(),
                       " to ", batch.ids.back());
  check_labels(batch.labels_B, batch.logits_BC.size(1), batch.ids, place);
  if (options.classes.empty()) return batch;
  restrict_to(options.classes, batch);
  check_labels(batch.labels_B, batch.logits_BC.size(1), batch.ids, place);
  return batch;
}

}  // namespace vit22b
