#include "train/averaged_weights.h"

namespace vit22b {

AveragedWeights::AveragedWeights(UpdatingSink& sink, MasterStore& store, double decay,
                                 int64_t updates)
    : store_(store) {
  const double whole = 1 - std::pow(decay, static_cast<double>(updates));
  if (updates > 0) averaged_ = sink.averaged();
  if (averaged_.empty()) return;
  store_.begin_update();
  for (const UpdatingSink::Averaged& a : averaged_) {
    raw_.push_back(a.weight.clone());
    a.weight.copy_(a.sum / whole);
  }
}

AveragedWeights::~AveragedWeights() {
  if (averaged_.empty()) return;
  store_.begin_update();
  for (size_t i = 0; i < averaged_.size(); ++i) averaged_[i].weight.copy_(raw_[i]);
}

NamedParts AveragedWeights::raw() const {
  NamedParts parts;
  for (size_t i = 0; i < averaged_.size(); ++i)
    parts[raw_name(averaged_[i].row.name)] = {averaged_[i].cut, raw_[i]};
  return parts;
}

}  // namespace vit22b
